#!/usr/bin/env python3
"""Validates keys by Thrift as a gateway of the original does, with a client made from the original's list of fields.

    python3 -m venv /tmp/proof && /tmp/proof/bin/pip install thriftpy2 requests
    PORTCULLIS_PASSWORD=... /tmp/proof/bin/python scripts/check-thrift.py 127.0.0.1 n1/tls/ca.pem TOKEN /pizza/1.0.0 1.0.0

The node must have `key_manager.thrift = true`. TOKEN is a token of an application that is subscribed to the API.
"""

import os
import ssl
import sys
import tempfile

import thriftpy2
from thriftpy2.protocol import TBinaryProtocolFactory
from thriftpy2.rpc import make_client
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TBufferedTransportFactory

IDL = """
exception AuthenticationException { 1: required string message }
exception APIKeyMgtException { 1: required string message }
exception APIManagementException { 1: required string message }
struct APIKeyValidationInfoDTO {
  1: optional bool authorized, 2: optional string subscriber, 3: optional string tier, 4: optional string type,
  5: optional string endUserToken, 6: optional string endUserName, 7: optional string applicationName,
  8: optional i32 validationStatus, 9: optional string applicationId, 10: optional string applicationTier,
  11: optional string apiName, 12: optional string consumerKey, 13: optional string apiPublisher,
  14: optional list<string> authorizedDomains, 15: optional set<string> scopes, 16: optional i64 validityPeriod,
  17: optional i64 issuedTime, 18: optional bool isContentAware, 19: optional string apiTier,
  20: optional list<string> throttlingDataList, 21: optional i32 spikeArrestLimit,
  22: optional string subscriberTenantDomain, 23: optional string spikeArrestUnit, 24: optional bool stopOnQuotaReach
}
struct ConditionDTO {
  1: optional string conditionType, 2: optional string conditionName, 3: optional string conditionValue,
  4: optional bool isInverted
}
struct ConditionGroupDTO { 1: optional string conditionGroupId, 2: optional list<ConditionDTO> conditions }
struct URITemplate {
  1: optional string uriTemplate, 2: optional string resourceURI, 3: optional string resourceSandboxURI,
  4: optional string httpVerb, 5: optional string authType, 6: optional string throttlingTier,
  7: optional list<string> throttlingConditions, 8: optional string applicableLevel,
  9: optional list<ConditionGroupDTO> conditionGroups
}
service AuthenticatorService {
  string authenticate(1: required string userName, 2: required string password) throws (1: AuthenticationException e)
}
service APIKeyValidationService {
  APIKeyValidationInfoDTO validateKey(1: required string context, 2: required string version,
    3: required string accessToken, 4: required string sessionId, 5: required string requiredAuthenticationLevel,
    6: optional string clientDomain, 7: required string matchingResource, 8: required string httpVerb)
    throws (1: APIKeyMgtException apiKeyMgtException, 2: APIManagementException apiMgtException),
  list<URITemplate> getAllURITemplates(1: required string context, 2: required string apiVersion,
    3: required string sessionId) throws (1: APIKeyMgtException apiKeyMgtException, 2: APIManagementException apiMgtException),
  APIKeyValidationInfoDTO validateKeyforHandshake(1: required string context, 2: required string version,
    3: required string accessToken, 4: required string sessionId)
    throws (1: APIKeyMgtException apiKeyMgtException, 2: APIManagementException apiMgtException)
}
"""

HOST, CA, TOKEN, CONTEXT, VERSION = sys.argv[1:]
USER = os.environ.get("PORTCULLIS_USER", "admin")
PASSWORD = os.environ["PORTCULLIS_PASSWORD"]
RESULTS = []


def check(what, holds, detail=""):
    RESULTS.append(bool(holds))
    print(("ok    " if holds else "FAILS ") + what + (f": {detail}" if detail and not holds else ""))


def client(service, port):
    return make_client(
        service, HOST, port, proto_factory=TBinaryProtocolFactory(), trans_factory=TBufferedTransportFactory(),
        ssl_context=ssl.create_default_context(cafile=CA), timeout=10_000)


def main():
    with tempfile.NamedTemporaryFile("w", suffix=".thrift") as file:
        file.write(IDL)
        file.flush()
        keymgt = thriftpy2.load(file.name, module_name="keymgt_thrift")
    sign_in = client(keymgt.AuthenticatorService, 10711)
    try:
        sign_in.authenticate(USER, "wrong")
        check("a wrong password is refused", False)
    except keymgt.AuthenticationException as refused:
        check("a wrong password is refused", "not valid" in refused.message, refused.message)
    session = sign_in.authenticate(USER, PASSWORD)
    check("the sign-in gives a session id", session)

    keys = client(keymgt.APIKeyValidationService, 10397)
    told = keys.validateKey(CONTEXT, VERSION, TOKEN, session, "Any", None, "/*", "GET")
    check("a good token is authorized", told.authorized and told.validationStatus == 0, told)
    check("whose it is is told", told.consumerKey and told.applicationName and told.subscriber == USER, told)
    check("its time is told", told.validityPeriod > 0 and told.issuedTime > 0, told)
    told = keys.validateKeyforHandshake(CONTEXT, VERSION, TOKEN, session)
    check("the same at a handshake", told.authorized, told)
    told = keys.validateKey(CONTEXT, VERSION, "no-such-token", session, "Any", None, "/*", "GET")
    check("an unknown token is 900901", (told.authorized, told.validationStatus) == (False, 900901), told)
    told = keys.validateKey("/no-such-api/1", "1", TOKEN, session, "Any", None, "/*", "GET")
    check("an unknown API is 900908", (told.authorized, told.validationStatus) == (False, 900908), told)
    told = keys.validateKey(CONTEXT, VERSION, TOKEN, session, "Application_User", None, "/*", "GET")
    check("an application's token where a user's is asked for is 900905", told.validationStatus == 900905, told)
    templates = keys.getAllURITemplates(CONTEXT, VERSION, session)
    check("what can be called is listed", templates and all(one.httpVerb and one.uriTemplate for one in templates))
    try:
        keys.validateKey(CONTEXT, VERSION, TOKEN, "no session", "Any", None, "/*", "GET")
        check("without a session nothing is told", False)
    except keymgt.APIKeyMgtException as refused:
        check("without a session nothing is told", "sign in" in refused.message, refused.message)
    try:
        client(keymgt.APIKeyValidationService, 10711).getAllURITemplates(CONTEXT, VERSION, session)
        check("the port of the sign-in validates nothing", False)
    except TApplicationException as refused:
        check("the port of the sign-in validates nothing", refused.type == 1, refused)
    print(f"{sum(RESULTS)} of {len(RESULTS)} hold")
    return 0 if all(RESULTS) else 1


if __name__ == "__main__":
    sys.exit(main())
