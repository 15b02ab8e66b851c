"""What must hold of the pure parsers whatever bytes they are given: one function for each, which raises if it does not.

`fuzz.py` searches for bytes that break one, guided by coverage; `test_corpus.py` tries those that were found
interesting so far, with every run of the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.slots import slots

from gateway.authn.bearer import Token, bearer_token
from gateway.authn.facts import Facts, Inactive, Indeterminate, read_introspection_result
from gateway.authn.jwt_hint import unverified_issuer
from gateway.cache.entry_form import decode, encode
from gateway.cache.key import HmacKeys
from gateway.cache.purge_index import Message, position
from gateway.cache.seal import Seal
from gateway.compiled import compile_config
from gateway.config.auth_model import Auth
from gateway.config.load import load_text
from gateway.config.model import Config
from gateway.config.pattern import parse_host, parse_path, parse_template
from gateway.decision import Allow, NeedsFacts, Preflight, Refuse
from gateway.http.fates import FieldFates
from gateway.http.forwarded import Caller, read_caller
from gateway.http.framing import request_problem
from gateway.http.header_names import fold_header_name
from gateway.http.headers import RequestRules, ResponseRules, fates_under, lines_to_backend, values_of
from gateway.http.ordinary import read_ordinary
from gateway.http.percent import canonical_percent
from gateway.http.refusal import Refusal, render
from gateway.http.request_fields import Fields, fields_of_text
from gateway.http.response_head import ResponseHeaderRules, read_response_head
from gateway.http.scanner import Scanner
from gateway.http.strict_json import DEPTH_MAX, JSONError, loads
from gateway.http.target import Target, path_problem, read_host, read_target
from gateway.http.unfinished import HeadLimits
from gateway.identity import identity_headers
from gateway.introspection.lifetime import Lifetimes, as_of, left_s
from gateway.pipeline import decide, resume
from gateway.policy import TrustedIssuer, compile_policy, judge
from gateway.provider.retry_after import RETRY_AFTER_MAX_S, parse_retry_after_s
from gateway.request import Request

NOW = 1_700_000_000.0
SOUND_LINE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
SOUND_ANSWER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
IDENTITY = {"X-User-Id": (("sub",),), "X-Roles": (("realm_access", "roles"), ("roles",))}
RULES = RequestRules(frozenset({"x-user-id", "x-roles"}), keep_authorization=False, remove=frozenset(), set=())
POLICY = compile_policy(Auth(scopes=("read",), audience=("orders",), roles=("manager", "other:clerk")))

_FILE = """
server: {trusted_proxies: [10.0.0.0/8]}
providers: {p: {introspection_endpoint: "http://p/introspect", client_id: gw, client_secret: s}}
defaults: {identity: {headers: {X-User-Id: sub}}}
routes:
  - {name: public, match: {path: "/public/**"}, backend: "http://b", auth: none}
  - {name: admin, match: {path: "/admin/**"}, backend: "http://b", auth: {scopes: [admin]}}
  - {name: stripped, match: {path: "/strip/me/**"}, strip_prefix: /strip/me, backend: "http://b", auth: none}
  - {name: rewritten, match: {path: "/t/{tenant}/**"}, rewrite: "/v2/{tenant}/{**}", backend: "http://b", auth: none}
  - {name: files, match: {path: "/files/**"}, allow_encoded_slash: true, backend: "http://b", auth: optional}
"""


def _config() -> Config:
    return load_text(_FILE, "gateway.yaml", environ={}, directory=Path("/nowhere"))


GATE = compile_config(_config())


class BrokenPromiseError(AssertionError):
    """Something that must hold does not."""


def must(holds: object, promise: str) -> None:
    """An assertion that is there under `python -O` too."""
    if not holds:
        raise BrokenPromiseError(promise)


def _text(data: bytes) -> str:
    """As it comes off the wire."""
    return data.decode("utf-8", "surrogateescape")


def _pairs(data: bytes) -> list[tuple[str, str]]:
    """Header fields, as a parser gives them out: names are tokens, values are stripped and have no line breaks."""
    fields = []
    for line in data.split(b"\n")[:100]:
        name, _, value = line.partition(b":")
        if TOKEN.fullmatch(_text(name)):
            fields.append((_text(name), _text(value.strip(b" \t\r"))))
    return fields


def strict_json(data: bytes) -> None:
    try:
        value = loads(data)
    except JSONError as error:
        must(len(str(error)) < 100, "an error quotes nothing")
        return
    must(_depth(value) <= DEPTH_MAX, "no deeper than the bound")
    again = json.dumps(value, allow_nan=False)
    must(loads(again.encode()) == value, "what was read is JSON of one meaning")


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def target(data: bytes) -> None:
    method, _, rest = _text(data).partition(" ")
    raw, _, host = rest.partition(" ")
    found = read_target(method, raw, host.split("\n") if host else ["h"])
    if isinstance(found, Refusal):
        must(found.code in {"invalid_target", "invalid_request"}, "a refusal of this stage")
        return
    must(method not in {"CONNECT", "TRACE", "PRI"}, "methods that are refused")
    must(found.path.startswith("/") and path_problem(found.path) is None, "the path is sound")
    must(found.path.isascii() and found.path.isprintable() and " " not in found.path, "the path is plain text")
    must(canonical_percent(found.path) == found.path, "the path is canonical")
    must(not {".", ".."} & {segment.split(";")[0] for segment in found.path.split("/")}, "nothing climbs")
    must(not re.search(";|%3B", found.bare_path) and path_problem(found.bare_path) is None, "no parameters are matched")
    must("" not in found.segments[:-1], "no empty segment")
    must(read_host(found.authority) == found.host, "the authority is the host's")
    again = read_target("GET", found.path + ("" if found.query is None else "?" + found.query), [found.authority])
    must(slots(again) == slots(found), "normalising is idempotent")


def host(data: bytes) -> None:
    text = _text(data)
    found = read_host(text)
    if found is not None:
        must(read_host(found) == found, "idempotent")
        must(not set(found) & set("/@?#\\ ,%\r\n\t\0") and found.isascii() and found == found.lower(), "plainly a host")
    with suppress(ValueError):
        pattern = parse_host(text)
        must(parse_host(str(pattern)) == pattern, "a pattern is what it says it is")


def _read(fates: FieldFates, pairs: list[tuple[str, str]]) -> Fields | None:
    """The fields; `None` for a control, which no parser lets through and which would become a line of its own."""
    try:
        return fields_of_text(fates, pairs)
    except ValueError:
        must(not all(SOUND_LINE.fullmatch(name + value) for name, value in pairs), "only a control is an error")
        return None


def headers(data: bytes) -> None:
    fields = _pairs(data)
    caller = Caller("192.0.2.1", "192.0.2.1", trusted=False, proto="http", host=None)
    alice = (("X-User-Id", "alice"),)
    read = _read(fates_under([RULES]), fields)
    if read is None:
        return
    lines = lines_to_backend(read, RULES, caller, authority="h", request_id="r", version=(1, 1), identity=alice)
    sent = [*lines.pairs, *alice]
    folded = [fold_header_name(name) for name, _ in sent]
    must([value for name, value in sent if name == "X-User-Id"] == ["alice"], "the identity is ours")
    must(folded.count("xuserid") == 1 and "xroles" not in folded, "no spelling of an identity header survives")
    gone = {"connection", "te", "trailer", "transferencoding", "upgrade", "keepalive", "contentlength", "host", "proxy"}
    must(not gone & set(folded), "hop-by-hop and framing fields stay here")
    must("authorization" not in folded, "the token stays here")
    must(values_of(sent, "x-forwarded-for") == ["192.0.2.1"] and "forwarded" not in folded, "nobody is impersonated")
    must(folded.count("xrequestid") == folded.count("via") == 1, "one each")


def forwarded(data: bytes) -> None:
    fields = _pairs(data)
    stranger = read_caller("192.0.2.1", "http", fields, GATE.trusted_proxies)
    nobody = Caller("192.0.2.1", "192.0.2.1", trusted=False, proto="http", host=None)
    # The lines that tell backends of a stranger are kept with him, once there are any.
    must(slots(stranger) | {"told": None} == slots(nobody), "strangers say nothing")
    proxied = read_caller("10.0.0.1", "http", fields, GATE.trusted_proxies)
    must(proxied.proto in {"http", "https"} and len(proxied.forwarded_for) <= 32, "bounds")
    must(proxied.host is None or read_host(proxied.host), "a host is one")
    must(proxied.request_id is None or re.fullmatch(r"[!-~]{1,128}", proxied.request_id), "an id is printable")


def bearer(data: bytes) -> None:
    values = _text(data).split("\n")
    found = bearer_token(values)
    if isinstance(found, Token):
        must(len(values) == 1, "one header")
        must(re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", found.value) and len(found.value) <= 2**15, "a b64token")
        must(values[0].strip(" \t").lower().startswith("bearer "), "of its scheme")
        must(repr(found) == "Token()", "never shown")
        unverified_issuer(found)
        HmacKeys(b"k").key(b"i", found)
    with suppress(UnicodeError):
        unverified_issuer(Token(data.decode()))


def facts(data: bytes) -> None:
    try:
        document = loads(data)
    except JSONError:
        return
    answer = read_introspection_result(document, NOW)
    if isinstance(answer, Indeterminate):
        must(len(answer.reason) < 100, "a reason quotes nothing")
        return
    must(isinstance(document, dict), "facts are an object's")
    life = left_s(answer, 0.0, NOW, Lifetimes(60.0, 10.0))
    must(0 <= life <= 60, "remembered within the ttl")
    if isinstance(answer, Inactive):
        return
    must(document["active"] is True, "only a literal true is a yes")
    must(answer.exp is None or life <= max(0.0, answer.exp - NOW), "nothing outlives exp")
    must(isinstance(as_of(answer, NOW), Inactive if answer.exp is not None and answer.exp <= NOW else Facts), "expired")
    refusal = judge(POLICY, answer, TrustedIssuer("https://i", "gw"), {}, NOW)
    must(refusal is not None or {"read"} <= answer.scopes, "no scope, no entry")
    if refusal is not None:
        render(refusal, "r")
    said = identity_headers(IDENTITY, answer.claims)
    if not isinstance(said, Refusal):
        must(all(SOUND_LINE.fullmatch(value) and value == value.strip() for _, value in said), "no second header")
        must(all(value.encode() for _, value in said), "goes out as UTF-8")
    HmacKeys(b"k").result_tags("https://i", answer)


def entry(data: bytes) -> None:
    found = decode(data)
    if found is not None:
        must(decode(encode(found)) == found, "an entry survives")
        recalled = found.recalled(max(0, found.left_ms), NOW)
        must(recalled is None or recalled.left_s * 1000 <= found.left_ms, "no longer life than it had")
    message = Message.decode(data)
    if message is not None:
        must(Message.decode(message.encode()) == message, "a message survives")
    with suppress(ValueError):
        position(data)
    must(Seal(b"k" * 32, 2**16).open(b"place", data) is None, "what was not sealed does not open")


def pattern(data: bytes) -> None:
    text = _text(data)
    with suppress(ValueError):
        found = parse_path(text)
        must(parse_path(str(found)) == found, "a pattern is what it says it is")
        literals = "/" + "/".join(segment.text or "x" for segment in found.segments)
        must(path_problem(literals) is None, "what it matches could be asked for")
    with suppress(ValueError):
        parse_template(text)


def framing(data: bytes) -> None:
    version = (1, data[0] & 1) if data else (1, 1)
    fields = _pairs(data[1:])
    lengths, codings = values_of(fields, "content-length"), values_of(fields, "transfer-encoding")
    one_length = not codings and len(lengths) <= 1 and all(re.fullmatch("[0-9]{1,18}", value) for value in lengths)
    only_chunked = not lengths and version == (1, 1) and [value.lower() for value in codings] == ["chunked"]
    must((request_problem(version, fields) is None) == (one_length or only_chunked), "framed in exactly one way")


def answer_head(data: bytes) -> None:
    """Whatever a backend says, the client gets sound lines, and one framing."""
    raw = data.partition(b"\r\n\r\n")[0]
    for one in (raw, b"HTTP/1.1 200 OK\r\n" + raw):
        head = read_response_head(one)
        if isinstance(head, str):
            continue
        must(not (head.is_chunked and head.length is not None), "framed in one way")
        fields = ResponseHeaderRules(ResponseRules(frozenset({"server"}), (), own_cors=True))
        passed = fields.of(head)
        must(passed == fields.of(head), "what is remembered changes nothing")
        lines = passed.split(b"\r\n")
        must(lines.pop() == b"" and all(SOUND_ANSWER_LINE.fullmatch(line) for line in lines), "sound lines")
        gone = {b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"server", b"x-request-id", b"te"}
        must(not gone & {line.partition(b":")[0].lower() for line in lines}, "what belongs to the hop stays here")


def retry_after(data: bytes) -> None:
    wait_s = parse_retry_after_s(_text(data), NOW)
    must(wait_s is None or 0 <= wait_s <= RETRY_AFTER_MAX_S, "within its bound")


def all_taken(scanner: Scanner, data: bytes) -> tuple[bytes, bool]:
    """All requests in `data`, taken one after another: what is for the parser, and whether all bytes were sound."""
    passed, position, is_sound = scanner.take(data)
    while is_sound and position < len(data):
        data = data[position:]
        piece, position, is_sound = scanner.take(data)
        passed += piece
    return passed, is_sound


def scanner(data: bytes) -> None:
    """How bytes are cut into segments changes nothing, and what is sound is so up to each of its bytes."""
    limits = HeadLimits(len(data) + 1, len(data) + 1)
    whole, is_sound = all_taken(Scanner(limits), data)
    piecewise, passed, fed = Scanner(limits), b"", 0
    for fed in range(len(data)):
        piece, was_sound = all_taken(piecewise, data[fed : fed + 1])
        passed += piece
        if not was_sound:
            break
    else:
        must(is_sound and passed == whole, "byte by byte as all at once")
        return
    must(not is_sound, "byte by byte as all at once")
    must(all_taken(Scanner(limits), data[:fed])[1], "what stands before the first unsound byte is sound")
    must(passed.startswith(whole), "nothing of what is unsound is passed")


def ordinary(data: bytes) -> None:
    """What the fast lane takes is one sound request, whole and alone, and means the same the next time."""
    taken = read_ordinary(GATE.fates, GATE.head_limits, data)
    if taken is None:
        return
    if taken.missing_bytes:
        data += bytes(taken.missing_bytes)  # it waits for them, and takes it then
        taken = read_ordinary(GATE.fates, GATE.head_limits, data)
        must(taken is not None and not taken.missing_bytes, "what waits for its body is taken with it")
        assert taken is not None
    fields = taken.fields.pairs
    passed, is_sound = all_taken(Scanner(HeadLimits(2 * len(data), 10_000)), data)
    must(is_sound and passed == data, "sound to the scanner")
    must(request_problem((1, 1), fields) is None, "framed in one way")
    lengths = values_of(fields, "content-length")
    must(
        lengths == ([] if taken.body is None else [str(len(taken.body))]) or int(lengths[0]) == len(taken.body or b""),
        "its body is as long as it says, and nothing stands behind it",
    )
    must(len(values_of(fields, "host")) == 1, "one host")
    for odd in ("transfer-encoding", "upgrade", "expect"):
        must(not values_of(fields, odd), "nothing that asks for more")
    must(all(SOUND_LINE.fullmatch(text) for pair in fields for text in pair), "sound fields")
    again = read_ordinary(GATE.fates, GATE.head_limits, data)
    must(again is not None and again.fields.lines == taken.fields.lines, "what is remembered changes nothing")


def request(data: bytes) -> None:
    """A whole head: target, route, token, identity; nothing without a good token gets to where one is needed."""
    first, _, rest = data.partition(b"\n")
    method, _, raw = _text(first.rstrip(b"\r")).partition(" ")
    if not TOKEN.fullmatch(method):
        return
    fields = _pairs(rest)
    read = _read(GATE.fates, fields)
    if read is None:
        return
    asked = Request(method, raw.rpartition(" ")[0] or raw, read, "192.0.2.1", "http", (1, 1), "id")
    for answer in (None, Facts({"active": True, "sub": "alice"}, NOW, scopes=frozenset({"admin"}))):
        decision = decide(GATE, asked)
        if isinstance(decision, NeedsFacts):
            must(values_of(fields, "authorization"), "there was a token")
            decision = resume(GATE, decision, answer or Inactive(NOW), NOW)
            if answer is None:
                must(isinstance(decision, Refuse), "a bad token is refused wherever it is looked at")
        match decision:
            case Allow():
                _must_be_sound(decision, vouched=answer is not None and decision.context.facts is not None)
            case Refuse():
                render(decision.refusal, decision.context.request_id)
            case Preflight():
                must(holds=False, promise="no route has cors")


def _must_be_sound(allow: Allow, *, vouched: bool) -> None:
    path = allow.path_and_query.partition("?")[0]
    must(path_problem(path) is None and re.fullmatch(r"[!-~]+", allow.path_and_query), "what is forwarded is sound")
    must(vouched or allow.route.name != "admin", "no token, no admin")
    must(vouched or not path.startswith("/admin") or allow.route.name == "stripped", "in no spelling")
    names = [name.lower().replace("_", "-").replace(".", "-") for name, _ in allow.headers]
    must(names.count("x-user-id") == int(vouched), "identity is what facts say")
    target_ = allow.context.target
    must(isinstance(target_, Target) and "/" not in target_.authority and "@" not in target_.authority, "the authority")


HARNESSES: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (
        strict_json, target, host, headers, forwarded, bearer, facts, entry, pattern, framing, answer_head, retry_after,
        scanner, ordinary, request,
    )
}  # fmt: skip
