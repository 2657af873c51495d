"""Signs statements and verifies their signatures: DSSE envelopes, by securesystemslib.

Importing it takes more than a second of processor time where Google's libraries are installed, so
only functions import it, and only tasks, commands and the page call them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bakehouse.images.attestation import Signature, SignedStatement
from bakehouse.images.statements import (
    PAYLOAD_TYPE,
    PROVENANCE,
    BadStatement,
    parse_statement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from securesystemslib.signer import Key, Signer


def sign(statements: Iterable[bytes], signer: Signer) -> bytes:
    """The envelopes of the statements, one a line.

    Raises:
        ValueError: A statement is not one of in-toto.
    """
    from securesystemslib.dsse import Envelope

    lines = []
    for payload in statements:
        _check_form(payload)
        envelope = Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(signer)
        lines.append(json.dumps(envelope.to_dict(), sort_keys=True))
    return "".join(f"{line}\n" for line in lines).encode()


def read_envelopes(data: bytes, trusted: Mapping[str, Key]) -> tuple[SignedStatement, ...]:
    """The statements of an object with the state of their signatures.

    Args:
        data: what `sign` wrote, perhaps edited since.
        trusted: keys by their ids.
    """
    lines = [line for line in data.splitlines() if line.strip()]
    if not lines:
        return (SignedStatement(signature=Signature.NONE, problem="its object is empty"),)
    return tuple(_read(line, trusted) for line in lines)


def _read(line: bytes, trusted: Mapping[str, Key]) -> SignedStatement:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    try:
        envelope = Envelope.from_dict(json.loads(line))
    except Exception as broken:  # the library raises whatever its parts raise
        problem = f"not an envelope: {type(broken).__name__}: {broken}"
        return SignedStatement(signature=Signature.NONE, problem=problem)
    named = list(envelope.signatures)
    known = [trusted[key_id] for key_id in named if key_id in trusted]
    if not known:
        key_id = named[0] if named else ""
        return SignedStatement(signature=Signature.UNTRUSTED, key_id=key_id)
    try:
        (key_id,) = envelope.verify(known, 1)
    except VerificationError:
        return SignedStatement(signature=Signature.WRONG, key_id=known[0].keyid)
    if envelope.payload_type != PAYLOAD_TYPE:
        problem = f"its payload is {envelope.payload_type}"
        return SignedStatement(signature=Signature.VALID, key_id=key_id, problem=problem)
    try:
        statement = parse_statement(envelope.payload)
    except BadStatement as bad:
        return SignedStatement(signature=Signature.VALID, key_id=key_id, problem=str(bad))
    return SignedStatement(signature=Signature.VALID, key_id=key_id, statement=statement)


def _check_form(payload: bytes) -> None:
    """Check a statement against in-toto's own definitions. Raises ValueError."""
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    form: dict[str, Any] = json.loads(payload)
    provenance: Any = provenance_pb2
    test_result: Any = test_result_pb2
    of_kind = (
        provenance.Provenance() if form["predicateType"] == PROVENANCE else test_result.TestResult()
    )
    whole: Any = statement_pb2
    try:
        json_format.ParseDict(form["predicate"], of_kind)
        Statement.copy_from_pb(json_format.ParseDict(form, whole.Statement())).validate()
    except json_format.ParseError as wrong:
        raise ValueError(f"not a statement of in-toto: {wrong}") from wrong
