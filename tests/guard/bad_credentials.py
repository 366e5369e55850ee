"""Credentials that a guard must refuse, each with the words by which its log says why.

A case is data: what it is called, how to make the headers that bring it, and what is expected. Trap: the words are
Envoy's or the name of a policy; where both would refuse, Envoy comes first.
"""

import json
import time
from collections.abc import Iterator

from edgerun.translate.guard_policy import AHEAD_S
from support.tokens import compact, encoded, hs256, rs256, unsigned, without

from .guarded import AUDIENCE, CALLER, ISSUER, LEEWAY_S, bearer, claims, head, token
from .making import (
    CREDENTIAL,
    FORBIDDEN,
    UNAUTHORIZED,
    Case,
    brought,
    claim,
    cut,
    duplicated,
    header,
    lacking,
    moment,
    p256_numbers,
    payload,
    policy,
    signed,
    text_of,
)

# Envoy's words. An exp that is missing or too far away is for it a failed verification, as a wrong signature is.
MISSING = "{Jwt_is_missing}"
UNFORMED = "{Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections}"
UNPROVEN = "{Jwt_verification_fails}"
WRONG_ALG = "{Jwt_header_[alg]_is_not_supported}"
NO_ALG = "{Jwt_header_[alg]_field_is_required_and_must_be_a_string}"
BAD_KID = "{Jwt_header_[kid]_field_is_not_a_string}"
NO_KEY = "{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt}"
NO_JSON = "{Jwt_payload_is_an_invalid_JSON}"
BAD_HEADER_JSON = "{Jwt_header_is_an_invalid_JSON}"
NO_BASE64 = "{Jwt_signature_is_an_invalid_Base64url_encoded}"
BAD_HEADER_BASE64 = "{Jwt_header_is_an_invalid_Base64url_encoded}"
NOT_OURS = "{Jwt_issuer_is_not_configured}"
ELSEWHERE = "{Audiences_in_Jwt_are_not_allowed}"
EXPIRED, EARLY = "{Jwt_is_expired}", "{Jwt_not_yet_valid}"


_ALGORITHMS = {
    **{
        f"alg {alg!r} and no signature": signed(lambda _: unsigned, UNFORMED, alg=alg)
        for alg in ("none", "None", "NONE", "nOnE")
    },
    "alg none with the good signature": header(WRONG_ALG, alg="none"),
    "alg is empty": header(WRONG_ALG, alg=""),
    "alg in lower case": header(WRONG_ALG, alg="es256"),
    "alg is null": header(NO_ALG, alg=None),
    "alg is a number": header(NO_ALG, alg=256),
    "alg is a list": header(NO_ALG, alg=["ES256"]),
    "no alg": (
        lambda keys: bearer(compact(without(head(keys.good), "alg"), claims(), keys.good.sign)),
        NO_ALG,
    ),
    "HS256 with the public key as PEM": signed(lambda keys: hs256(keys.good.pem()), NO_KEY, alg="HS256"),
    "HS256 with the public key as a point": signed(lambda keys: hs256(p256_numbers(keys)), NO_KEY, alg="HS256"),
    "HS256 with a secret among the keys": signed(lambda keys: hs256(keys.secret), NO_KEY, alg="HS256", kid="oct"),
    "HS256 with nothing": signed(lambda _: hs256(b""), NO_KEY, alg="HS256"),
    "RS256 with a key among the keys": signed(lambda keys: rs256(keys.rsa2048), NO_KEY, alg="RS256", kid="rsa"),
    "RS256 in the name of the good key": signed(lambda keys: rs256(keys.rsa2048), NO_KEY, alg="RS256"),
    "ES384 with a key among the keys": signed(lambda keys: keys.es384, NO_KEY, alg="ES384", kid="p384"),
    "EdDSA with a key among the keys": signed(lambda keys: keys.okp.sign, NO_KEY, alg="EdDSA", kid="ed"),
}

_KEYS = {
    "signed by a stranger": (lambda keys: bearer(token(keys.stranger)), UNPROVEN),
    "signed by another of the issuer's keys": signed(lambda keys: keys.next.sign, UNPROVEN),
    "signed by a key that has no name": signed(lambda keys: keys.nameless.sign, NO_KEY, kid="nameless"),
    "a kid that nobody knows": header(NO_KEY, kid="k9"),
    "no kid": (
        lambda keys: bearer(compact(without(head(keys.good), "kid"), claims(), keys.good.sign)),
        policy("token-kid"),
    ),
    "kid is empty": header(policy("token-kid"), kid=""),
    "kid is null": header(BAD_KID, kid=None),
    "kid is a number": header(BAD_KID, kid=1),
    "kid in upper case": header(NO_KEY, kid="K1"),
    "kid is a path": header(NO_KEY, kid="../../k1"),
    "kid and a space": header(NO_KEY, kid="k1 "),
    "kid comes twice": (
        lambda keys: bearer(compact('{"alg":"ES256","kid":"k9","typ":"JWT","kid":"k1"}', claims(), keys.good.sign)),
        BAD_HEADER_JSON,
    ),
    "a name of twins, and neither signed": signed(lambda keys: keys.good.sign, UNPROVEN, kid="twin"),
}

_SIGNATURES = {
    "no signature": signed(lambda _: unsigned, UNFORMED),
    "a signature of zeros": signed(lambda _: lambda _: bytes(64), UNPROVEN),
    "a signature in DER": signed(lambda keys: keys.good.der, UNPROVEN),
    "a signature cut short": signed(lambda keys: lambda signed: keys.good.sign(signed)[:-1], UNPROVEN),
    "a signature that goes on": signed(
        lambda keys: lambda signed: keys.good.sign(signed) + b"\0", policy("credential-form")
    ),
    "a signature whose unused bits are set": text_of(
        lambda text: text[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[text[-1]], policy("credential-form")
    ),
    "claims changed after signing": text_of(
        lambda text: ".".join(
            [text.split(".")[0], encoded(json.dumps(claims(sub="root")).encode()), text.split(".")[2]]
        ),
        UNPROVEN,
    ),
    "a header changed after signing": text_of(
        lambda text: ".".join([encoded(b'{"alg":"ES256","kid":"k1","typ":"JWT" }'), *text.split(".")[1:]]), UNPROVEN
    ),
}

_TIMES = {
    "no exp": lacking("exp", UNPROVEN),
    "exp is 0": claim(UNPROVEN, exp=0),
    "exp is negative": claim("{Jwt_payload_[exp]_field_is_not_a_positive_64_bit_integer}", exp=-1),
    "exp is 2^63": claim(policy("token-exp"), exp=2**63),
    "exp is 2^63 - 1": claim(policy("token-exp"), exp=2**63 - 1),
    "exp is 2^64": claim("{Jwt_payload_[exp]_field_is_not_a_positive_64_bit_integer}", exp=2**64),
    "exp is a string": claim("{Jwt_payload_[exp]_field_is_not_an_integer}", exp=str(int(time.time()) + 300)),
    "exp is null": claim("{Jwt_payload_[exp]_field_is_not_an_integer}", exp=None),
    "exp is a list": claim("{Jwt_payload_[exp]_field_is_not_an_integer}", exp=[int(time.time()) + 300]),
    "exp in 25 hours": moment("exp", 25 * 3600, UNPROVEN),
    "exp in 10 years": moment("exp", 10 * 365 * 86400, UNPROVEN),
    "expired a second more than the leeway ago": moment("exp", -LEEWAY_S - 1, EXPIRED),
    "expired an hour ago": moment("exp", -3600, EXPIRED),
    "nbf more than the leeway ahead": moment("nbf", LEEWAY_S + 60, EARLY),
    "nbf an hour ahead": moment("nbf", 3600, EARLY),
    "nbf is a string": claim("{Jwt_payload_[nbf]_field_is_not_an_integer}", nbf="now"),
    "iat an hour ahead": moment("iat", 3600, policy("token-of-the-future")),
    "iat more than a minute ahead": moment("iat", AHEAD_S + 60, policy("token-of-the-future")),
    "iat is 2^63": claim(policy("token-iat"), iat=2**63),
    "no iat": lacking("iat", policy("token-iat")),
    "iat is a string": claim("{Jwt_payload_[iat]_field_is_not_an_integer}", iat="now"),
}

_ISSUERS = {
    "another issuer": claim(NOT_OURS, iss="https://issuer.example.test"),
    "the issuer and a slash": claim(NOT_OURS, iss=f"{ISSUER}/"),
    "the issuer without its scheme": claim(NOT_OURS, iss=ISSUER.removeprefix("https://")),
    "the issuer over http": claim(NOT_OURS, iss=ISSUER.replace("https", "http")),
    "the issuer in upper case": claim(NOT_OURS, iss=ISSUER.upper()),
    "a list of issuers": claim("{Jwt_payload_[iss]_field_is_not_a_string}", iss=[ISSUER]),
    "no issuer": lacking("iss", NOT_OURS),
    "an empty issuer": claim(NOT_OURS, iss=""),
}

_AUDIENCES = {
    "another origin": claim(ELSEWHERE, aud=AUDIENCE.replace("cart", "till")),
    "an origin of that name in another namespace": claim(ELSEWHERE, aud=AUDIENCE.replace("shop", "other")),
    "the audience without its scheme": claim(policy("token-aud"), aud=AUDIENCE.removeprefix("https://")),
    "the audience over http": claim(policy("token-aud"), aud=AUDIENCE.replace("https", "http")),
    "the audience and a slash": claim(policy("token-aud"), aud=f"{AUDIENCE}/"),
    "the audience and two slashes": claim(ELSEWHERE, aud=f"{AUDIENCE}//"),
    "the audience and a path": claim(ELSEWHERE, aud=f"{AUDIENCE}/cart"),
    "the audience in upper case": claim(ELSEWHERE, aud=AUDIENCE.upper()),
    "the beginning of the audience": claim(ELSEWHERE, aud=AUDIENCE[:-1]),
    "the audience and more": claim(ELSEWHERE, aud=f"{AUDIENCE}.example.test"),
    "a space before the audience": claim(ELSEWHERE, aud=f" {AUDIENCE}"),
    "a NUL after the audience": claim(ELSEWHERE, aud=f"{AUDIENCE}\0"),
    "a list of two audiences": claim(policy("token-aud"), aud=[AUDIENCE, "https://till.shop.edgerun.test"]),
    "a list of the audience": claim(policy("token-aud"), aud=[AUDIENCE]),
    "an object": claim("{Jwt_payload_[aud]_field_is_not_a_string_or_string_list}", aud={AUDIENCE: True}),
    "an empty audience": claim(ELSEWHERE, aud=""),
    "an empty list of audiences": claim(ELSEWHERE, aud=[]),
    "no audience": lacking("aud", ELSEWHERE),
}

_SUBJECTS = {
    "no sub": lacking("sub", policy("token-sub")),
    "an empty sub": claim(policy("token-sub"), sub=""),
    "sub is null": claim("{Jwt_payload_[sub]_field_is_not_a_string}", sub=None),
    "sub is a number": claim("{Jwt_payload_[sub]_field_is_not_a_string}", sub=1),
    "sub is a list": claim("{Jwt_payload_[sub]_field_is_not_a_string}", sub=[CALLER]),
    "sub has a line's end": claim(policy("token-sub"), sub=f"{CALLER}\r\nx-admin: 1"),
    "sub has a NUL": claim(policy("token-sub"), sub=f"{CALLER}\0"),
    "sub has a space": claim(policy("token-sub"), sub=f"{CALLER} "),
    "sub has letters that look alike": claim(
        policy("token-sub"), sub=CALLER.replace("o", "\N{CYRILLIC SMALL LETTER O}")
    ),
}

_STRANGERS = {
    "a ServiceAccount of another namespace": claim(policy("none"), sub="system:serviceaccount:other:web"),
    "a namespace that begins alike": claim(policy("none"), sub="system:serviceaccount:shopping:web"),
    "a namespace that ends alike": claim(policy("none"), sub="system:serviceaccount:eshop:web"),
    "the namespace in upper case": claim(policy("none"), sub="system:serviceaccount:SHOP:web"),
    "the namespace alone": claim(policy("none"), sub="system:serviceaccount:shop:"),
    "a name in four parts": claim(policy("none"), sub="system:serviceaccount:shop:web:x"),
    "a node": claim(policy("none"), sub="system:node:shop:web"),
    "the beginning of a subject that may": claim(policy("none"), sub="spiffe://example.test/ci"),
    "more than a subject that may": claim(policy("none"), sub="spiffe://example.test/ci/deploy/x"),
}

_TOKEN_HEADERS = {
    "crit": header(policy("token-headers"), crit=["exp"]),
    "crit of something unknown": header(policy("token-headers"), crit=["x"], x=1),
    "b64": header(policy("token-headers"), b64=False),
    "zip": header(policy("token-headers"), zip="DEF"),
    "cty": header(policy("token-headers"), cty="JWT"),
    "jku": header(policy("token-headers"), jku="https://evil.test/jwks"),
    "x5u": header(policy("token-headers"), x5u="https://evil.test/chain"),
    "x5c": header(policy("token-headers"), x5c=["MIIB"]),
    "jwk of a stranger, who signed": (
        lambda keys: bearer(compact(head(keys.stranger, jwk=keys.stranger.jwk()), claims(), keys.stranger.sign)),
        UNPROVEN,
    ),
    "jwk of the good key": (
        lambda keys: bearer(compact(head(keys.good, jwk=keys.good.jwk()), claims(), keys.good.sign)),
        policy("token-headers"),
    ),
    "typ of a proof of possession": header(policy("token-typ"), typ="dpop+jwt"),
    "typ of something else": header(policy("token-typ"), typ="JOSE"),
    "typ in lower case": header(policy("token-typ"), typ="jwt"),
    "typ is empty": header(policy("token-typ"), typ=""),
    "typ is a list": header(policy("token-typ"), typ=["JWT"]),
    "no typ": (
        lambda keys: bearer(compact(without(head(keys.good), "typ"), claims(), keys.good.sign)),
        policy("token-typ"),
    ),
}

_FORMS = {
    "two parts": text_of(lambda text: text.rpartition(".")[0], UNFORMED),
    "one part": text_of(lambda text: text.split(".")[0], UNFORMED),
    "four parts": text_of(lambda text: f"{text}.x", UNFORMED),
    "five parts, as an encrypted one": text_of(lambda text: f"{text}.x.y", UNFORMED),
    "an empty header": text_of(lambda text: cut(text, 0, 0), UNFORMED),
    "empty claims": text_of(lambda text: cut(text, 1, 0), UNFORMED),
    "cut in the middle of the claims": text_of(lambda text: cut(text, 1, 20), NO_JSON),
    "dots alone": text_of(lambda _: "..", UNFORMED),
    "padding after the signature": text_of(lambda text: f"{text}==", policy("credential-form")),
    "padding after the header": text_of(lambda text: text.replace(".", "=.", 1), UNPROVEN),
    "a signature in standard base64": signed(lambda _: lambda _: b"\xff" * 64, UNPROVEN),
    "the alphabet of standard base64": text_of(lambda text: text.rpartition(".")[0] + "." + "+/" * 43, NO_BASE64),
    "a space within": text_of(lambda text: text.replace(".", " .", 1), UNPROVEN),
    "a tab within": text_of(lambda text: text.replace(".", "\t.", 1), UNPROVEN),
    "words after it": text_of(lambda text: f"{text} and more", NO_BASE64),
    "a semicolon and more": text_of(lambda text: f"{text};x", NO_BASE64),
    "in quotes": text_of(lambda text: f'"{text}"', NO_BASE64),
    "escaped": text_of(lambda text: text.replace(".", "%2e"), UNFORMED),
    "not ASCII": text_of(lambda text: f"{text}\u00e9", NO_BASE64),
    "claims that are no JSON": payload("sub=root", NO_JSON),
    "claims that are a list": payload(json.dumps([1]), NO_JSON),
    "claims that are empty": payload("{}", NOT_OURS),
    "claims that are not UTF-8": payload(b'{"sub":"\xff\xfe"}', NO_JSON),
    "claims nested 5000 deep": payload('{"a":' * 5000 + "1" + "}" * 5000, NO_JSON),
    "lists nested 5000 deep": payload('{"a":' + "[" * 5000 + "]" * 5000 + "}", NO_JSON),
    "sub comes twice": (
        lambda keys: bearer(compact(head(keys.good), duplicated("sub", CALLER), keys.good.sign)),
        NO_JSON,
    ),
    "aud comes twice": (
        lambda keys: bearer(compact(head(keys.good), duplicated("aud", AUDIENCE), keys.good.sign)),
        NO_JSON,
    ),
    "50 kB of it": text_of(lambda text: text + "A" * 50_000, UNPROVEN),
}

_BRINGING = {
    "none": brought(lambda _: [], MISSING),
    "an empty one": brought(lambda _: [(CREDENTIAL, "")], MISSING),
    "a scheme and nothing else": brought(lambda _: [(CREDENTIAL, "Bearer ")], MISSING),
    "without a scheme": brought(lambda text: [(CREDENTIAL, text)], MISSING),
    "a scheme in lower case": brought(lambda text: [(CREDENTIAL, f"bearer {text}")], MISSING),
    "a scheme in upper case": brought(lambda text: [(CREDENTIAL, f"BEARER {text}")], MISSING),
    "another scheme": brought(lambda text: [(CREDENTIAL, f"Basic {text}")], MISSING),
    "another scheme before ours": brought(
        lambda text: [(CREDENTIAL, f"Basic x, Bearer {text}")], policy("credential-form")
    ),
    "two spaces": brought(lambda text: [(CREDENTIAL, f"Bearer  {text}")], policy("credential-form")),
    "a tab for a space": brought(lambda text: [(CREDENTIAL, f"Bearer\t{text}")], MISSING),
    "two headers": brought(lambda text: [*bearer(text), *bearer(text)], policy("several-credentials")),
    "a good one and a bad one": brought(lambda text: [*bearer(text), *bearer("x.y.z")], BAD_HEADER_BASE64),
    "a bad one and a good one": brought(lambda text: [*bearer("x.y.z"), *bearer(text)], BAD_HEADER_BASE64),
    "two in one header": brought(lambda text: [(CREDENTIAL, f"Bearer {text},Bearer {text}")], UNFORMED),
    "two in one header, spaced": brought(lambda text: [(CREDENTIAL, f"Bearer {text}, Bearer {text}")], UNFORMED),
    "a carriage return within": brought(lambda text: [(CREDENTIAL, f"Bearer {text}\rx")], policy("credential-form")),
    "in the app's own header": brought(lambda text: [("authorization", f"Bearer {text}")], MISSING),
    "in a header with underscores": brought(lambda text: [("x_edgerun_authorization", f"Bearer {text}")], MISSING),
    "in a cookie": brought(lambda text: [("cookie", f"{CREDENTIAL}={text}; access_token={text}")], MISSING),
    "in a header of the connection alone": brought(lambda text: [*bearer(text), ("connection", CREDENTIAL)], MISSING),
}

_GROUPS = {
    "algorithm": _ALGORITHMS,
    "key": _KEYS,
    "signature": _SIGNATURES,
    "time": _TIMES,
    "issuer": _ISSUERS,
    "audience": _AUDIENCES,
    "subject": _SUBJECTS,
    "caller": _STRANGERS,
    "token header": _TOKEN_HEADERS,
    "form": _FORMS,
    "brought": _BRINGING,
}


def _cases() -> Iterator[Case]:
    for group, found in _GROUPS.items():
        status = FORBIDDEN if found is _STRANGERS else UNAUTHORIZED
        for name, (make, why) in found.items():
            yield Case(f"{group}: {name}", make, why, status)


BAD = tuple(_cases())
