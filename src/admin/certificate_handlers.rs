//! Handles what is asked about certificates. What is done is behind
//! [`portcullis_model::certificate::CertificateControl`].

use std::sync::Arc;

use actix::{Context, Handler, ResponseFuture};
use portcullis_model::certificate::CertificatesStatus;

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::certificate_messages::{BeginRotation, ListCertificates, RenewCertificate, RetireAuthority};

impl Handler<ListCertificates> for Admin {
    type Result = Result<CertificatesStatus, AdminError>;

    fn handle(&mut self, _message: ListCertificates, _context: &mut Context<Self>) -> Self::Result {
        Ok(self.certificates.certificates()?)
    }
}

impl Handler<RenewCertificate> for Admin {
    type Result = ResponseFuture<Result<(), AdminError>>;

    fn handle(&mut self, message: RenewCertificate, _context: &mut Context<Self>) -> Self::Result {
        let certificates = Arc::clone(&self.certificates);
        Box::pin(async move { Ok(certificates.renew(message.node).await?) })
    }
}

impl Handler<BeginRotation> for Admin {
    type Result = ResponseFuture<Result<CertificatesStatus, AdminError>>;

    fn handle(&mut self, _message: BeginRotation, _context: &mut Context<Self>) -> Self::Result {
        let certificates = Arc::clone(&self.certificates);
        Box::pin(async move {
            certificates.begin_rotation().await?;
            Ok(certificates.certificates()?)
        })
    }
}

impl Handler<RetireAuthority> for Admin {
    type Result = ResponseFuture<Result<CertificatesStatus, AdminError>>;

    fn handle(&mut self, _message: RetireAuthority, _context: &mut Context<Self>) -> Self::Result {
        let certificates = Arc::clone(&self.certificates);
        Box::pin(async move {
            certificates.retire_authority().await?;
            Ok(certificates.certificates()?)
        })
    }
}
