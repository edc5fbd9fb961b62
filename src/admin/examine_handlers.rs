//! Handles what is asked about the cluster's health: the examination, and how the actors stand. Who is asked is behind
//! [`portcullis_model::facts::Examination`]; the judging is [`crate::diagnosis`].

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_model::NodeId;
use portcullis_model::facts::{ActorFacts, AskedNode};

use crate::actor::Admin;
use crate::diagnosis::{Examined, Finding, diagnose};

/// Asks for an examination of the whole cluster.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Diagnosis")]
pub struct Examine;

/// What an examination found.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The findings, those of the cluster first.
    pub findings: Vec<Finding>,
    /// What the nodes said.
    pub nodes: Vec<AskedNode>,
}

/// Asks how the actors of every node stand.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<(NodeId, Vec<ActorFacts>)>")]
pub struct ListActors;

impl Handler<Examine> for Admin {
    type Result = ResponseFuture<Diagnosis>;

    fn handle(&mut self, _message: Examine, _context: &mut Context<Self>) -> Self::Result {
        let (cluster, examination) = (Arc::clone(&self.cluster), Arc::clone(&self.examination));
        Box::pin(async move {
            let status = cluster.status().await;
            let nodes = examination.ask_all().await;
            let states = examination.compare(&nodes).await;
            let examined = Examined { status, nodes, states };
            Diagnosis { findings: diagnose(&examined), nodes: examined.nodes }
        })
    }
}

impl Handler<ListActors> for Admin {
    type Result = ResponseFuture<Vec<(NodeId, Vec<ActorFacts>)>>;

    fn handle(&mut self, _message: ListActors, _context: &mut Context<Self>) -> Self::Result {
        let examination = Arc::clone(&self.examination);
        Box::pin(async move {
            let nodes = examination.ask_all().await;
            nodes.into_iter().filter_map(|node| Some((node.node, node.facts?.actors))).collect()
        })
    }
}
