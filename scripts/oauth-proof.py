#!/usr/bin/env python3
"""Goes through every grant of a running node with clients that others wrote, and says what holds.

    python3 -m venv /tmp/proof && /tmp/proof/bin/pip install authlib requests-oauthlib pyjwt cryptography requests signxml
    PORTCULLIS_PASSWORD=... /tmp/proof/bin/python scripts/oauth-proof.py https://127.0.0.1:9443 n1/tls/ca.pem

The node may be any; with several URLs, separated by commas, the steps go to one after the other in turn.
"""

import base64
import datetime
import hashlib
import html
import itertools
import json
import os
import re
import sys
import time
import urllib.parse
import uuid

import jwt
import requests
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from joserfc.jwk import ECKey
from lxml import etree
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
from requests_oauthlib import OAuth2Session
from signxml import XMLSigner, methods
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod

NODES = itertools.cycle(sys.argv[1].split(","))
CA = sys.argv[2]
# Sessions of requests look here first.
os.environ["REQUESTS_CA_BUNDLE"] = CA
USER = os.environ.get("PORTCULLIS_USER", "admin")
PASSWORD = os.environ["PORTCULLIS_PASSWORD"]
CALLBACK = "https://app.example/cb"
RESULTS = []


def node():
    return next(NODES)


def check(what, holds, detail=""):
    RESULTS.append(bool(holds))
    print(("ok    " if holds else "FAILS ") + what + (f": {detail}" if detail and not holds else ""))
    return holds


def register(**metadata):
    reply = requests.post(f"{node()}/oauth2/register", json=metadata, auth=(USER, PASSWORD), verify=CA)
    assert reply.status_code == 201, reply.text
    return reply.json()


def post(path, data, **rest):
    return requests.post(f"{node()}{path}", data=data, verify=CA, **rest)


def hidden(page, name):
    return html.unescape(re.search(f'name="{name}" value="([^"]*)"', page.text).group(1))


def follow(session, reply):
    """Follows redirects within the server, whichever node they lead to; stops at the client's own address."""
    while reply.is_redirect:
        where = reply.headers["location"]
        if where.startswith(CALLBACK):
            return where
        reply = session.get(urllib.parse.urljoin(node() + "/", where), allow_redirects=False)
    return reply


class Browser(requests.Session):
    """A browser behind a balancer: the cookies are the server's, whichever node answers."""

    def __init__(self):
        super().__init__()
        self.verify = CA
        self.jar = {}

    def request(self, method, url, **rest):
        headers = dict(rest.pop("headers", None) or {})
        headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        self.cookies.clear()
        reply = super().request(method, url, headers=headers, **rest)
        self.jar.update(reply.cookies.get_dict())
        return reply

    def authorize(self, url):
        """Signs in, allows, and returns where the browser is sent with the answer."""
        page = follow(self, self.get(url, allow_redirects=False))
        for _ in range(3):
            if isinstance(page, str):
                return page
            form = {"to": hidden(page, "to"), "form_token": hidden(page, "form_token")}
            if 'name="password"' in page.text:
                form.update(username=USER, password=PASSWORD)
                page = follow(self, self.post(f"{node()}/oauth2/sign-in", data=form, allow_redirects=False))
            else:
                form["decision"] = "allow"
                page = follow(self, self.post(f"{node()}/oauth2/consent", data=form, allow_redirects=False))
        return page


def verify(token, audience, keys, issuer):
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWK(next(key for key in keys["keys"] if key["kid"] == header["kid"]))
    return jwt.decode(token, key.key, algorithms=[header["alg"]], audience=audience, issuer=issuer)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def discovery():
    meta = requests.get(f"{node()}/oauth2/token/.well-known/openid-configuration", verify=CA).json()
    for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported",
                 "subject_types_supported", "id_token_signing_alg_values_supported"]:
        check(f"discovery names {name} (OpenID Connect Discovery, section 3)", name in meta)
    same = requests.get(f"{node()}/.well-known/oauth-authorization-server", verify=CA).json()
    check("RFC 8414 and OpenID discovery say the same", {**same, **addresses(meta)} == meta)
    check("plain is not offered for proof keys", meta["code_challenge_methods_supported"] == ["S256"])
    keys = requests.get(f"{node()}/oauth2/jwks", verify=CA).json()
    check("the JWK set has no private member", not any({"d", "p", "q"} & set(key) for key in keys["keys"]))
    return meta, keys


def addresses(meta):
    return {name: value for name, value in meta.items() if name.endswith("endpoint") or name == "jwks_uri"}


def client_credentials(meta, keys):
    client = register(client_name="cc", grant_types=["client_credentials"])
    session = OAuth2Session(client=BackendApplicationClient(client_id=client["client_id"]))
    token = session.fetch_token(f"{node()}/oauth2/token", client_id=client["client_id"],
                                client_secret=client["client_secret"], verify=CA)
    claims = verify(token["access_token"], client["client_id"], keys, meta["issuer"])
    check("client credentials (requests-oauthlib, PyJWT by the JWK set)", claims["client_id"] == client["client_id"])
    header = jwt.get_unverified_header(token["access_token"])
    check("access tokens are at+jwt (RFC 9068)", header["typ"] == "at+jwt")
    needed = {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}
    check("access tokens carry the claims of RFC 9068", needed <= set(claims), needed - set(claims))
    found = post("/oauth2/introspect", {"token": token["access_token"]}, auth=(client["client_id"], client["client_secret"]))
    check("introspection says active (RFC 7662)", found.json()["active"] is True)
    post("/oauth2/revoke", {"token": token["access_token"]}, auth=(client["client_id"], client["client_secret"]))
    found = post("/oauth2/introspect", {"token": token["access_token"]}, auth=(client["client_id"], client["client_secret"]))
    check("a revoked token is inactive on the next node at once (RFC 7009)", found.json() == {"active": False})
    bad = post("/oauth2/token", {"grant_type": "client_credentials"}, auth=(client["client_id"], "wrong"))
    check("a wrong secret: 401 invalid_client with a challenge",
          bad.status_code == 401 and bad.json()["error"] == "invalid_client" and "www-authenticate" in bad.headers)


def password_and_refresh(meta, keys):
    client = register(client_name="pw", grant_types=["password", "refresh_token"], access_token_type="OPAQUE")
    session = OAuth2Session(client=LegacyApplicationClient(client_id=client["client_id"]))
    token = session.fetch_token(f"{node()}/oauth2/token", username=USER, password=PASSWORD,
                                client_id=client["client_id"], client_secret=client["client_secret"], verify=CA)
    auth = (client["client_id"], client["client_secret"])
    check("password (requests-oauthlib), opaque", "." not in token["access_token"])
    first = token["refresh_token"]
    second = post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": first}, auth=auth).json()
    check("refresh gives another refresh token", second["refresh_token"] != first)
    again = post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": first}, auth=auth)
    check("a spent refresh token: invalid_grant", again.json()["error"] == "invalid_grant")
    gone = post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}, auth=auth)
    check("and its whole family is revoked", gone.json().get("error") == "invalid_grant")
    found = post("/oauth2/introspect", {"token": second["access_token"]}, auth=auth)
    check("with its access tokens", found.json() == {"active": False})


def authorization_code(meta, keys):
    client = register(client_name="code", grant_types=["authorization_code", "refresh_token"],
                      redirect_uris=[CALLBACK], id_token_signed_response_alg="RS256")
    session = AuthlibSession(client["client_id"], client["client_secret"], scope="openid profile email",
                             redirect_uri=CALLBACK, code_challenge_method="S256")
    session.verify = CA
    verifier = b64(os.urandom(40))
    url, state = session.create_authorization_url(f"{node()}/oauth2/authorize", code_verifier=verifier, nonce="n-1")
    browser = Browser()
    answer = browser.authorize(url)
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(answer).query))
    check("the answer has state and iss (RFC 9207)", query.get("state") == state and query.get("iss") == meta["issuer"])
    token = session.fetch_token(f"{node()}/oauth2/token", authorization_response=answer, code_verifier=verifier)
    keys = requests.get(f"{node()}/oauth2/jwks", verify=CA).json()
    check("authorization code with proof key (authlib)", "access_token" in token)
    check("the id token is signed as the client wants", jwt.get_unverified_header(token["id_token"])["alg"] == "RS256")
    claims = verify(token["id_token"], client["client_id"], keys, meta["issuer"])
    check("the id token repeats the nonce", claims["nonce"] == "n-1")
    half = hashlib.sha256(token["access_token"].encode()).digest()[:16]
    check("at_hash is that of the access token (OpenID Connect Core, 3.1.3.6)", claims["at_hash"] == b64(half))
    check("auth_time is now", abs(claims["auth_time"] - time.time()) < 120)
    user = requests.get(f"{node()}/oauth2/userinfo", headers={"authorization": "Bearer " + token["access_token"]}, verify=CA)
    check("userinfo has the subject of the id token", user.json()["sub"] == claims["sub"])
    again = post("/oauth2/token", {"grant_type": "authorization_code", "code": query["code"], "redirect_uri": CALLBACK,
                                   "code_verifier": verifier}, auth=(client["client_id"], client["client_secret"]))
    check("a code is good once", again.json()["error"] == "invalid_grant")
    user = requests.get(f"{node()}/oauth2/userinfo", headers={"authorization": "Bearer " + token["access_token"]}, verify=CA)
    check("and its second use takes back what it gave", user.status_code == 401)
    for change, error in [({"code_challenge_method": "plain"}, "invalid_request"), ({"prompt": "none"}, "consent_required"),
                          ({"response_type": "token"}, "unsupported_response_type")]:
        parts = {"response_type": "code", "client_id": client["client_id"], "redirect_uri": CALLBACK, "scope": "openid",
                 "state": "x", "code_challenge": b64(hashlib.sha256(b"x").digest()), "code_challenge_method": "S256"}
        parts.update(change)
        sent = follow(browser, browser.get(f"{node()}/oauth2/authorize?{urllib.parse.urlencode(parts)}", allow_redirects=False))
        check(f"{change}: {error}", isinstance(sent, str) and f"error={error}" in sent, sent)
    parts = {"response_type": "code", "client_id": client["client_id"], "redirect_uri": "https://evil.example/"}
    sent = browser.get(f"{node()}/oauth2/authorize?{urllib.parse.urlencode(parts)}", allow_redirects=False)
    check("an address that is not registered leads nowhere", sent.status_code == 400 and "location" not in sent.headers)
    out = browser.get(f"{node()}/oauth2/logout?" + urllib.parse.urlencode(
        {"id_token_hint": token["id_token"], "post_logout_redirect_uri": CALLBACK}), allow_redirects=False)
    check("RP-initiated logout", out.headers.get("location") == CALLBACK)


def key_pair():
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return pem, jwk


def private_key_jwt(meta, keys):
    pem, jwk = key_pair()
    client = register(client_name="pkj", grant_types=["client_credentials"],
                      token_endpoint_auth_method="private_key_jwt", jwks={"keys": [dict(jwk, kid="1")]})
    check("a client with a key has no secret", "client_secret" not in client)
    session = AuthlibSession(client["client_id"], ECKey.import_key(pem), token_endpoint_auth_method="private_key_jwt")
    session.register_client_auth_method(PrivateKeyJWT(meta["token_endpoint"], alg="ES256", headers={"kid": "1"}))
    session.verify = CA
    token = session.fetch_token(f"{node()}/oauth2/token", grant_type="client_credentials")
    check("private_key_jwt (authlib, RFC 7523)", "access_token" in token)


def proof_of(pem, jwk, method, url, token=None):
    claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
    if token:
        claims["ath"] = b64(hashlib.sha256(token.encode()).digest())
    return jwt.encode(claims, pem, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": jwk})


def pushed_and_bound(meta, keys):
    client = register(client_name="par", grant_types=["authorization_code", "refresh_token"], redirect_uris=[CALLBACK],
                      token_endpoint_auth_method="none", require_pushed_authorization_requests=True)
    pem, jwk = key_pair()
    verifier = b64(os.urandom(40))
    url = f"{node()}/oauth2/par"
    pushed = requests.post(url, verify=CA, headers={"DPoP": proof_of(pem, jwk, "POST", url)}, data={
        "client_id": client["client_id"], "response_type": "code", "redirect_uri": CALLBACK, "scope": "openid",
        "code_challenge": b64(hashlib.sha256(verifier.encode()).digest()), "code_challenge_method": "S256"})
    check("a request is pushed (RFC 9126)", pushed.status_code == 201, pushed.text)
    query = urllib.parse.urlencode({"client_id": client["client_id"], "request_uri": pushed.json()["request_uri"]})
    answer = Browser().authorize(f"{node()}/oauth2/authorize?{query}")
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(answer).query))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": verifier,
            "client_id": client["client_id"]}
    other_pem, other_jwk = key_pair()
    url = f"{node()}/oauth2/token"
    stolen = requests.post(url, data=form, verify=CA, headers={"DPoP": proof_of(other_pem, other_jwk, "POST", url)})
    check("a code that is bound to a key is refused to another", stolen.json().get("error") == "invalid_grant")
    token = requests.post(url, data=form, verify=CA, headers={"DPoP": proof_of(pem, jwk, "POST", url)}).json()
    check("a token is bound to a key (RFC 9449)", token.get("token_type") == "DPoP", token)
    claims = jwt.decode(token["access_token"], options={"verify_signature": False})
    check("cnf.jkt is the key's thumbprint", len(claims["cnf"]["jkt"]) == 43)
    url = f"{node()}/oauth2/userinfo"
    bearer = requests.get(url, headers={"authorization": "Bearer " + token["access_token"]}, verify=CA)
    check("as Bearer it is good for nothing", bearer.status_code == 401)
    proof = proof_of(pem, jwk, "GET", url, token["access_token"])
    headers = {"authorization": "DPoP " + token["access_token"], "DPoP": proof}
    check("with a proof it is good", requests.get(url, headers=headers, verify=CA).status_code == 200)
    check("the same proof is good once", requests.get(url, headers=headers, verify=CA).status_code == 401)


def device(meta, keys):
    client = register(client_name="tv", grant_types=["urn:ietf:params:oauth:grant-type:device_code"],
                      token_endpoint_auth_method="none")
    begun = post("/oauth2/device_authorization", {"client_id": client["client_id"], "scope": "openid"}).json()
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"],
            "client_id": client["client_id"]}
    check("a device waits: authorization_pending (RFC 8628)", post("/oauth2/token", form).json()["error"] == "authorization_pending")
    browser = Browser()
    page = follow(browser, browser.get(begun["verification_uri_complete"], allow_redirects=False))
    fields = {"to": hidden(page, "to"), "form_token": hidden(page, "form_token"), "username": USER, "password": PASSWORD}
    page = follow(browser, browser.post(f"{node()}/oauth2/sign-in", data=fields, allow_redirects=False))
    fields = {"to": hidden(page, "to"), "form_token": hidden(page, "form_token"), "user_code": begun["user_code"]}
    page = browser.post(f"{node()}/oauth2/device", data=fields)
    fields = {"to": hidden(page, "to"), "form_token": hidden(page, "form_token"), "user_code": begun["user_code"], "decision": "allow"}
    browser.post(f"{node()}/oauth2/device", data=fields)
    time.sleep(begun["interval"])
    token = post("/oauth2/token", form).json()
    check("a device gets a token when its user has allowed it", "access_token" in token, token)


def exchange(meta, keys):
    front = register(client_name="front", grant_types=["password"])
    back = register(client_name="back", grant_types=["urn:ietf:params:oauth:grant-type:token-exchange"])
    token = post("/oauth2/token", {"grant_type": "password", "username": USER, "password": PASSWORD, "scope": "openid"},
                 auth=(front["client_id"], front["client_secret"])).json()
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token["access_token"],
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token", "resource": "https://gw.example/pizza/1.0.0"}
    got = post("/oauth2/token", form, auth=(back["client_id"], back["client_secret"])).json()
    check("a token is exchanged (RFC 8693)", got.get("issued_token_type", "").endswith("access_token"), got)
    claims = jwt.decode(got["access_token"], options={"verify_signature": False})
    check("it is the same user's, for the resource (RFC 8707)", claims["aud"] == "https://gw.example/pizza/1.0.0"
          and claims["client_id"] == back["client_id"])


def saml_of(issuer, subject, meta, seconds=600):
    now = datetime.datetime.now(datetime.timezone.utc)
    at = lambda later: (now + datetime.timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")
    endpoint = meta["issuer"]
    return f"""<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion" ID="_{uuid.uuid4().hex}"
 IssueInstant="{at(0)}" Version="2.0"><saml2:Issuer>{issuer}</saml2:Issuer>
 <saml2:Subject><saml2:NameID>{subject}</saml2:NameID>
  <saml2:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml2:SubjectConfirmationData
   NotOnOrAfter="{at(seconds)}" Recipient="{endpoint}"/></saml2:SubjectConfirmation></saml2:Subject>
 <saml2:Conditions NotBefore="{at(0)}" NotOnOrAfter="{at(seconds)}"><saml2:AudienceRestriction>
  <saml2:Audience>{endpoint}</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions>
</saml2:Assertion>"""


def signed(text, key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    certificate = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    root = etree.fromstring(text)
    signer = XMLSigner(method=methods.enveloped, signature_algorithm=SignatureMethod.ECDSA_SHA256,
                       digest_algorithm=DigestAlgorithm.SHA256,
                       c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
    return etree.tostring(signer.sign(root, key=key, cert=[certificate], reference_uri="#" + root.get("ID"), id_attribute="ID"))


def assertions(meta, keys):
    pem, jwk = key_pair()
    issuer = f"https://idp.example/{uuid.uuid4()}"
    trusted = requests.put(f"{node()}/api/portcullis/v1/trusted-issuers", auth=(USER, PASSWORD), verify=CA,
                           json={"issuer": issuer, "jwks": {"keys": [jwk]}})
    check("an issuer is trusted", trusted.status_code == 204, trusted.text)
    grants = ["urn:ietf:params:oauth:grant-type:" + kind for kind in ["jwt-bearer", "saml2-bearer"]]
    client = register(client_name="asserted", grant_types=grants)
    auth = (client["client_id"], client["client_secret"])
    now = int(time.time())
    claims = {"iss": issuer, "sub": USER, "aud": meta["token_endpoint"], "exp": now + 300, "jti": str(uuid.uuid4())}
    said = jwt.encode(claims, pem, algorithm="ES256")
    token = post("/oauth2/token", {"grant_type": grants[0], "assertion": said}, auth=auth).json()
    check("an assertion gets a user's token (RFC 7523, signed by PyJWT)", "access_token" in token, token)
    key = serialization.load_pem_private_key(pem, None)
    document = signed(saml_of(issuer, USER, meta), key)
    token = post("/oauth2/token", {"grant_type": grants[1], "assertion": b64(document)}, auth=auth).json()
    check("an assertion of SAML does too (RFC 7522, signed by signxml)", "access_token" in token, token)
    forged = document.replace(f">{USER}<".encode(), b">root<")
    token = post("/oauth2/token", {"grant_type": grants[1], "assertion": b64(forged)}, auth=auth).json()
    check("one that was changed does not", token.get("error") == "invalid_grant", token)


def registration(meta, keys):
    client = register(client_name="managed", redirect_uris=[CALLBACK])
    headers = {"authorization": "Bearer " + client["registration_access_token"]}
    where = f"{node()}/oauth2/register/{client['client_id']}"
    check("a client reads its registration (RFC 7592)", requests.get(where, headers=headers, verify=CA).json()["client_id"] == client["client_id"])
    changed = requests.put(where, headers=headers, verify=CA, json={"client_id": client["client_id"], "redirect_uris": [CALLBACK + "2"]})
    check("it changes it", changed.json().get("redirect_uris") == [CALLBACK + "2"], changed.text)
    other = requests.get(where, headers={"authorization": "Bearer x"}, verify=CA)
    check("nobody else does", other.status_code == 401)
    check("it deletes it", requests.delete(where, headers=headers, verify=CA).status_code == 204)
    bad = requests.post(f"{node()}/oauth2/register", json={"redirect_uris": ["javascript:alert(1)"]}, auth=(USER, PASSWORD), verify=CA)
    check("a dangerous address: invalid_redirect_uri (RFC 7591)", bad.json().get("error") == "invalid_redirect_uri", bad.text)


def main():
    meta, keys = discovery()
    for part in [client_credentials, password_and_refresh, authorization_code, private_key_jwt, pushed_and_bound, device,
                 exchange, assertions, registration]:
        print(f"-- {part.__name__}")
        try:
            part(meta, keys)
        except Exception as fault:  # noqa: BLE001 - a part that breaks off is a failure like others
            check(part.__name__, False, repr(fault))
    print(f"{sum(RESULTS)} of {len(RESULTS)} hold")
    sys.exit(0 if all(RESULTS) else 1)


main()
