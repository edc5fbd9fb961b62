#!/usr/bin/env python3
"""Puts an OpenID provider that others wrote (authlib, with the habits of Keycloak) beside a running node, and says what
of key managers and identity providers holds with it.

    python3 -m venv /tmp/proof && /tmp/proof/bin/pip install authlib flask joserfc requests
    PORTCULLIS_PASSWORD=... /tmp/proof/bin/python scripts/check-federation.py https://127.0.0.1:9443 http://127.0.0.1:8280 n1/tls/ca.pem

The node must run on this machine: the provider listens on 127.0.0.1, without TLS.
"""

import base64
import hashlib
import html
import logging
import os
import re
import sys
import threading
import time
import urllib.parse
import uuid

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import requests
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oidc.core import OpenIDCode, UserInfo
from flask import Flask, jsonify, request
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

NODE, GATEWAY, CA = sys.argv[1:4]
USER, PASSWORD = os.environ.get("PORTCULLIS_USER", "admin"), os.environ["PORTCULLIS_PASSWORD"]
# Sessions of requests look here first.
os.environ["REQUESTS_CA_BUNDLE"] = CA
RUN = uuid.uuid4().hex[:8]
CALLBACK = "https://app.example/cb"
RESULTS = []
logging.getLogger("werkzeug").setLevel(logging.ERROR)


def check(what, holds, detail=""):
    RESULTS.append(bool(holds))
    print(("ok    " if holds else "FAILS ") + what + (f": {str(detail)[:300]}" if detail and not holds else ""))


# ---- The provider -----------------------------------------------------------------------------------------------------


class Client(ClientMixin):
    def __init__(self, info, metadata):
        self.client_id, self.secret, self.metadata = info["client_id"], info["client_secret"], metadata

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return self.metadata.get("redirect_uris", [None])[0]

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri in self.metadata.get("redirect_uris", [])

    def check_client_secret(self, client_secret):
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in self.metadata.get("grant_types", [])


class Code(AuthorizationCodeMixin):
    def __init__(self, code, payload, client, user):
        self.code, self.client_id, self.user = code, client.client_id, user
        self.redirect_uri, self.scope = payload.redirect_uri, payload.scope
        self.nonce = payload.data.get("nonce")
        self.code_challenge = payload.data.get("code_challenge")
        self.code_challenge_method = payload.data.get("code_challenge_method")

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return int(time.time())

    def get_acr(self):
        return None

    def get_amr(self):
        return None


class Token:
    def __init__(self, token, client_id):
        self.token, self.client_id, self.revoked = token, client_id, False
        self.ends = int(time.time()) + token.get("expires_in", 300)

    def is_expired(self):
        return self.ends <= time.time()

    def is_revoked(self):
        return self.revoked


class Person:
    """Who signs in at the provider: the form has no password, it is not what is looked at."""

    def __init__(self, name):
        self.name = name

    def get_user_id(self):
        return self.name


class Provider:
    """An OpenID provider. Tokens are signed as Keycloak signs them, or opaque for clients whose name says so."""

    def __init__(self):
        self.clients, self.codes, self.tokens = {}, {}, {}
        self.keys = [RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})]
        self.app = Flask("provider")
        self.server = AuthorizationServer(self.app, self.clients.get, self.save_token)
        self.http = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.issuer = f"{self.url}/realms/partner"
        generator = BearerTokenGenerator(self.access_token)
        self.server.register_token_generator("default", generator)
        self.register_grants()
        self.routes()
        self.gateway = self.add_client({"client_name": "gateway", "grant_types": ["client_credentials"]})
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def add_client(self, metadata):
        info = {"client_id": uuid.uuid4().hex, "client_secret": uuid.uuid4().hex}
        self.clients[info["client_id"]] = Client(info, metadata)
        return self.clients[info["client_id"]]

    def save_token(self, token, asked):
        self.tokens[token["access_token"]] = Token(token, asked.client.client_id)

    def signed(self, claims):
        key = self.keys[-1]
        return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "JWT"}, claims, key)

    def access_token(self, client, grant_type, user=None, scope=None):
        if "opaque" in client.metadata.get("client_name", ""):
            return uuid.uuid4().hex
        return self.signed(self.claims(client, user, scope))

    def claims(self, client, user=None, scope=None, **further):
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": "account", "azp": client.client_id, "typ": "Bearer", "jti": uuid.uuid4().hex,
            "sub": user.name if user else str(uuid.uuid5(uuid.NAMESPACE_URL, client.client_id)),
            "preferred_username": user.name if user else f"service-account-{client.client_id}",
            "iat": now, "exp": now + 300, "scope": scope or "profile", "realm_access": {"roles": ["offline_access"]},
        }
        return claims | further

    def register_grants(self):
        provider = self

        class AuthorizationCode(grants.AuthorizationCodeGrant):
            def save_authorization_code(self, code, asked):
                provider.codes[code] = Code(code, asked.payload, asked.client, asked.user)

            def query_authorization_code(self, code, client):
                known = provider.codes.get(code)
                return known if known and known.client_id == client.client_id else None

            def delete_authorization_code(self, authorization_code):
                provider.codes.pop(authorization_code.code, None)

            def authenticate_user(self, authorization_code):
                return authorization_code.user

        class OpenId(OpenIDCode):
            def exists_nonce(self, nonce, asked):
                return False

            def get_client_algorithm(self, client):
                return "RS256"

            def get_client_claims(self, client):
                return {"iss": provider.issuer, "exp": int(time.time()) + 300, "iat": int(time.time())}

            def resolve_client_private_key(self, client):
                return provider.keys[-1]

            def get_encode_header(self, client):
                return {"alg": "RS256", "kid": provider.keys[-1].kid}

            def get_compatible_claims(self, asked):
                return self.get_client_claims(asked.client) | {"aud": [asked.client.client_id]}

            def generate_user_info(self, user, scope):
                return UserInfo(
                    sub=f"id-of-{user.name}", preferred_username=user.name, email=f"{user.name}@partner.example",
                    email_verified=True, given_name=user.name.title(), groups=["cooks"],
                )

        class Registration(ClientRegistrationEndpoint):
            def get_server_metadata(self):
                return {}

            def authenticate_token(self, asked):
                bearer = asked.headers.get("Authorization", "").removeprefix("Bearer ")
                return provider.tokens.get(bearer)

            def save_client(self, client_info, client_metadata, asked):
                client = Client(client_info, client_metadata)
                provider.clients[client.client_id] = client
                return client

        class Introspection(IntrospectionEndpoint):
            def query_token(self, token_string, token_type_hint):
                return provider.tokens.get(token_string)

            def check_permission(self, token, client, asked):
                return True

            def introspect_token(self, token):
                return {
                    "active": True, "client_id": token.client_id, "scope": token.token.get("scope", ""),
                    "iss": provider.issuer, "exp": token.ends, "token_type": "Bearer",
                }

        self.server.register_grant(AuthorizationCode, [OpenId(), CodeChallenge(required=True)])
        self.server.register_grant(grants.ClientCredentialsGrant)
        self.server.register_endpoint(Registration)
        self.server.register_endpoint(Introspection)

    def routes(self):
        app, server = self.app, self.server

        @app.get("/realms/partner/.well-known/openid-configuration")
        def discovery():
            return jsonify({
                "issuer": self.issuer, "authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token",
                "introspection_endpoint": f"{self.url}/introspect", "registration_endpoint": f"{self.url}/register",
                "jwks_uri": f"{self.url}/certs", "grant_types_supported": ["authorization_code", "client_credentials"],
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            })

        app.get("/certs", endpoint="certs")(lambda: jsonify(KeySet(self.keys).as_dict(private=False)))
        app.get("/menu", endpoint="menu")(lambda: jsonify({"menu": ["margherita"], "assertion": request.headers.get("X-JWT-Assertion")}))
        app.post("/token", endpoint="token")(lambda: server.create_token_response())
        app.post("/register", endpoint="register")(lambda: server.create_endpoint_response("client_registration"))
        app.post("/introspect", endpoint="introspect")(lambda: server.create_endpoint_response("introspection"))

        @app.get("/authorize")
        def authorize():
            grant = server.get_consent_grant(end_user=Person(request.args["who"])) if "who" in request.args else None
            if grant is None:
                return "sign in"
            return server.create_authorization_response(grant_user=Person(request.args["who"]), grant=grant)


# ---- The node ---------------------------------------------------------------------------------------------------------


def rest(verb, path, expected, **rest):
    reply = requests.request(verb, NODE + path, auth=(USER, PASSWORD), verify=CA, timeout=30, **rest)
    assert reply.status_code == expected, f"{verb} {path}: {reply.status_code} {reply.text}"
    return reply.json() if reply.content else None


def publish(backend):
    publisher = "/api/am/publisher/v4/apis"
    made = rest("POST", publisher, 201, json={
        "name": f"Menu{RUN}", "context": f"/menu{RUN}", "version": "1.0.0", "policies": ["Unlimited"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": backend}, "sandbox_endpoints": {"url": backend}},
        "operations": [{"target": "/menu", "verb": "GET", "authType": "Application & Application User", "throttlingPolicy": "Unlimited"}],
    })
    revision = rest("POST", f"{publisher}/{made['id']}/revisions", 201, json={})
    deployed = [{"name": "Default", "vhost": "localhost", "displayOnDevportal": True}]
    rest("POST", f"{publisher}/{made['id']}/deploy-revision?revisionId={revision['id']}", 200, json=deployed)
    rest("POST", f"{publisher}/change-lifecycle?action=Publish&apiId={made['id']}", 200)
    application = rest("POST", "/api/am/devportal/v3/applications", 201, json={"name": f"Phone{RUN}", "throttlingPolicy": "Unlimited"})
    rest("POST", "/api/am/devportal/v3/subscriptions", 201, json={
        "applicationId": application["applicationId"], "apiId": made["id"], "throttlingPolicy": "Unlimited"})
    return application["applicationId"]


def call(token):
    reply = requests.get(f"{GATEWAY}/menu{RUN}/1.0.0/menu", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return reply.status_code, reply.text


def key_manager(provider, name, **further):
    well_known = f"{provider.issuer}/.well-known/openid-configuration"
    found = rest("POST", "/api/am/admin/v4/key-managers/discover", 200, files={"url": (None, well_known), "type": (None, "KeyCloak")})
    found = found.get("value", found)
    check("the well-known document is read", found.get("tokenEndpoint") == f"{provider.url}/token", found)
    properties = {"client_id": provider.gateway.client_id, "client_secret": provider.gateway.secret}
    body = found | {"name": name, "type": "KeyCloak", "enabled": True, "additionalProperties": properties} | further
    return rest("POST", "/api/am/admin/v4/key-managers", 201, json=body)


def signed_tokens(provider, application):
    name = f"Keycloak{RUN}"
    manager = key_manager(provider, name)
    before = set(provider.clients)
    keys = rest("POST", f"/api/am/devportal/v3/applications/{application}/generate-keys", 200, json={
        "keyType": "PRODUCTION", "keyManager": name, "grantTypesToBeSupported": ["client_credentials"]})
    made = set(provider.clients) - before
    check("a client is registered there (RFC 7591)", made == {keys["consumerKey"]}, keys)
    token = (keys.get("token") or {}).get("accessToken")
    check("the first token comes along and is good", token and call(token)[0] == 200, keys)
    session = OAuth2Session(keys["consumerKey"], keys["consumerSecret"], token_endpoint_auth_method="client_secret_basic")
    token = session.fetch_token(f"{provider.url}/token", grant_type="client_credentials")["access_token"]
    check("a token that authlib's client gets is good", call(token)[0] == 200, call(token))
    client = provider.clients[keys["consumerKey"]]
    refused = {
        "one whose time is over": provider.signed(provider.claims(client, exp=int(time.time()) - 600)),
        "one of another issuer": provider.signed(provider.claims(client, iss="https://else.example")),
        "one of a client that is nobody's here": provider.signed(provider.claims(provider.gateway)),
        "one with a changed payload": token.replace(token.split(".")[1][10:14], "AAAA"),
    }
    for what, bad in refused.items():
        check(f"{what} is refused", call(bad)[0] in (401, 403), call(bad))
    stranger = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
    forged = jwt.encode({"alg": "RS256", "kid": "first", "typ": "JWT"}, provider.claims(client), stranger)
    check("one that another key signed is refused", call(forged)[0] == 401, call(forged))
    # Keys are asked for again at most every 10 s.
    provider.keys.append(RSAKey.generate_key(2048, {"kid": "second", "use": "sig", "alg": "RS256"}))
    rotated = provider.signed(provider.claims(client))
    deadline = time.time() + 20
    while call(rotated)[0] != 200 and time.time() < deadline:
        time.sleep(0.5)
    check("a key that is new there is found", call(rotated)[0] == 200, call(rotated))
    manager["enabled"] = False
    manager["additionalProperties"] = {}
    rest("PUT", f"/api/am/admin/v4/key-managers/{manager['id']}", 200, json=manager)
    check("switched off, none of its tokens is good", call(rotated)[0] == 401, call(rotated))
    manager["enabled"] = True
    rest("PUT", f"/api/am/admin/v4/key-managers/{manager['id']}", 200, json=manager)
    check("switched on, they are", call(rotated)[0] == 200, call(rotated))
    mapping = keys["keyMappingId"]
    rest("DELETE", f"/api/am/devportal/v3/applications/{application}/oauth-keys/{mapping}", 200)
    check("with the application's keys go its tokens", call(rotated)[0] in (401, 403), call(rotated))
    rest("DELETE", f"/api/am/admin/v4/key-managers/{manager['id']}", 200)


def opaque_tokens(provider, application):
    name = f"Opaque{RUN}"
    manager = key_manager(provider, name)
    client = provider.add_client({"client_name": "opaque", "grant_types": ["client_credentials"]})
    rest("POST", f"/api/am/devportal/v3/applications/{application}/map-keys", 200, json={
        "consumerKey": client.client_id, "consumerSecret": client.secret, "keyManager": name, "keyType": "PRODUCTION"})
    session = OAuth2Session(client.client_id, client.secret, token_endpoint_auth_method="client_secret_basic")
    token = session.fetch_token(f"{provider.url}/token", grant_type="client_credentials")["access_token"]
    check("an opaque token is good by introspection", call(token)[0] == 200, call(token))
    other = session.fetch_token(f"{provider.url}/token", grant_type="client_credentials")["access_token"]
    provider.tokens[other].revoked = True
    check("one that is revoked there is refused", call(other)[0] == 401, call(other))
    check("one that nobody knows is refused", call(uuid.uuid4().hex)[0] == 401)
    rest("DELETE", f"/api/am/admin/v4/key-managers/{manager['id']}", 200)


def sign_in(provider):
    there = provider.add_client({
        "client_name": "cluster", "grant_types": ["authorization_code"], "redirect_uris": [f"{NODE}/commonauth"]})
    properties = {
        "ClientId": there.client_id, "ClientSecret": there.secret, "OAuth2AuthzEPUrl": f"{provider.url}/authorize",
        "OAuth2TokenEPUrl": f"{provider.url}/token", "Scopes": "openid profile email",
    }
    made = rest("POST", "/api/server/v1/identity-providers", 201, json={
        "name": f"Partner{RUN}", "idpIssuerName": provider.issuer, "certificate": {"jwksUri": f"{provider.url}/certs"},
        "claims": {"roleClaim": {"uri": "groups"}, "mappings": [
            {"idpClaim": "given_name", "localClaim": {"uri": "http://wso2.org/claims/givenname"}}]},
        "roles": {"mappings": [{"idpRole": "cooks", "localRole": "Internal/creator"}]},
        "provisioning": {"jit": {"isEnabled": True}},
        "federatedAuthenticators": {"authenticators": [{"name": "OpenIDConnectAuthenticator", "isEnabled": True,
            "properties": [{"key": key, "value": value} for key, value in properties.items()]}]},
    })
    client = rest("POST", "/oauth2/register", 201, json={
        "client_name": f"app{RUN}", "grant_types": ["authorization_code"], "redirect_uris": [CALLBACK]})
    browser, who = requests.Session(), f"carla{RUN}"
    browser.verify = CA
    verifier = uuid.uuid4().hex * 2
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = urllib.parse.urlencode({
        "client_id": client["client_id"], "response_type": "code", "redirect_uri": CALLBACK, "scope": "openid profile email",
        "state": "s", "code_challenge": challenge, "code_challenge_method": "S256"})
    page = browser.get(f"{NODE}/oauth2/authorize?{asked}", timeout=30)
    links = re.findall(r'<a href="(/oauth2/sign-in-elsewhere[^"]*)">([^<]*)</a>', page.text)
    link = next((html.unescape(link) for link, name in links if name == f"Partner{RUN}"), None)
    check("the page to sign in offers the provider", link, page.text)
    away = browser.get(NODE + link, allow_redirects=False, timeout=30).headers["location"]
    back = requests.get(f"{away}&who={who}", allow_redirects=False, timeout=30).headers["location"]
    thief = requests.get(back, verify=CA, allow_redirects=False, timeout=30)
    check("a code that another browser brings is worth nothing", thief.status_code == 400, thief.text)
    arrived = browser.get(back, allow_redirects=False, timeout=30)
    check("the browser comes back signed in", arrived.status_code == 303, arrived.text)
    consent = browser.get(urllib.parse.urljoin(NODE, arrived.headers.get("location", "/")), timeout=30)
    hidden = {name: html.unescape(re.search(f'name="{name}" value="([^"]*)"', consent.text).group(1)) for name in ("to", "form_token")}
    answer = browser.post(f"{NODE}/oauth2/consent", data=hidden | {"decision": "allow"}, allow_redirects=False, timeout=30,
                          headers={"sec-fetch-site": "same-origin"})
    code = urllib.parse.parse_qs(urllib.parse.urlparse(answer.headers["location"]).query)["code"][0]
    granted = requests.post(f"{NODE}/oauth2/token", verify=CA, timeout=30, auth=(client["client_id"], client["client_secret"]), data={
        "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": verifier}).json()
    bearer = {"Authorization": f"Bearer {granted['access_token']}"}
    user = requests.get(f"{NODE}/oauth2/userinfo", verify=CA, timeout=30, headers=bearer).json()
    check("the token is the user's, with the facts from there",
          user.get("sub", "").startswith(who) and user.get("given_name") == who.title(), user)
    known = rest("GET", f"/scim2/Users?filter=userName%20eq%20{who}", 200)["Resources"][0]
    check("the user is there, with the role that is mapped", "Internal/creator" in str(known), known)
    rest("DELETE", f"/api/server/v1/identity-providers/{made['id']}", 204)


def main():
    provider = Provider()
    application = publish(provider.url)
    signed_tokens(provider, application)
    opaque_tokens(provider, application)
    sign_in(provider)
    print(f"{sum(RESULTS)} of {len(RESULTS)} hold")
    return 0 if all(RESULTS) else 1


if __name__ == "__main__":
    sys.exit(main())
