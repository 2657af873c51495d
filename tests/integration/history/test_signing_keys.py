"""The key that signs: made once, for its owner alone; or one of Cloud KMS."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Variable
from tests.support import signed
from tests.support.fake_kms import KEY, FakeKms, fake_kms
from tests.support.signed import IMAGE

from bakehouse.core.errors import BakehouseError, OutcomeUnknown, PermanentError
from bakehouse.history.attestation_store import AttestationStore
from bakehouse.history.attestations import Attestations
from bakehouse.history.envelopes import read_envelopes, sign
from bakehouse.history.key_file import default_key_file, make_key, problem_of_file
from bakehouse.history.signing_keys import read_trust, signing_key
from bakehouse.history.trusted_keys import TRUSTED_KEYS, parse_trusted_keys
from bakehouse.images import labels
from bakehouse.images.attestation import AttestationState, Signature
from bakehouse.pages.airflow_sources import SignedStates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECTION = "google_cloud_default"


class Variables:
    """Airflow's Variables of one test."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def set(self, name: str, value: str) -> None:
        self.values[name] = value


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Variables:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    found = Variables()
    monkeypatch.setattr(Variable, "get", found.get)
    monkeypatch.setattr(Variable, "set", found.set)
    return found


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch, variables: Variables) -> Iterator[FakeKms]:
    with fake_kms() as server:
        extra = {"is_anonymous": True, "project": "p", "kms_endpoint": server.url}
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", json.dumps(connection))
        variables.values["bakehouse_signing_key"] = f"gcpkms:{KEY}"
        yield server


def by_key(trusted: Any, *statements: bytes) -> list[Signature]:
    data = sign(statements or signed.statements(), signing_key(CONNECTION).signer)
    return [one.signature for one in read_envelopes(data, trusted)]


def test_the_first_signature_makes_a_key_that_its_owner_alone_can_read(
    variables: Variables,
) -> None:
    first = signing_key(CONNECTION)
    file = default_key_file()
    known = file.stat()
    assert (stat.S_IMODE(known.st_mode), known.st_uid) == (0o600, os.geteuid())
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    again = signing_key(CONNECTION)
    assert again.signer.public_key == first.signer.public_key
    (listed,) = parse_trusted_keys(variables.values[TRUSTED_KEYS]).values()
    assert listed.since is not None


def _make(file: Path, start: Any, made: Any) -> None:
    start.wait()
    make_key(file)
    made.put(file.read_bytes())


def test_of_processes_that_make_a_key_at_once_all_use_the_same(tmp_path: Path) -> None:
    file = tmp_path / "bakehouse" / "key.pem"
    context = multiprocessing.get_context("fork")
    start, made = context.Event(), context.Queue()
    makers = [context.Process(target=_make, args=(file, start, made)) for _ in range(6)]
    for maker in makers:
        maker.start()
    start.set()
    keys = {made.get(timeout=60) for _ in makers}
    for maker in makers:
        maker.join()
    assert len(keys) == 1
    assert problem_of_file(file) == ""
    assert [path.name for path in file.parent.iterdir()] == ["key.pem"]


def test_what_others_can_read_is_not_signed_with(variables: Variables) -> None:
    signing_key(CONNECTION)
    default_key_file().chmod(0o644)
    with pytest.raises(PermanentError, match=r"has the mode 0644: chmod 600 "):
        signing_key(CONNECTION)
    variables.values.clear()
    assert not read_trust().keys


def test_a_named_key_is_never_made(variables: Variables, tmp_path: Path) -> None:
    variables.values["bakehouse_signing_key"] = f"file://{tmp_path}/mounted.pem"
    with pytest.raises(PermanentError, match=r"mounted\.pem does not exist: openssl genpkey"):
        signing_key(CONNECTION)
    make_key(tmp_path / "mounted.pem")
    assert by_key(read_trust().keys) == [Signature.VALID] * 2
    assert not default_key_file().exists()


def test_a_file_that_is_no_key_is_told(variables: Variables, tmp_path: Path) -> None:
    file = tmp_path / "mounted.pem"
    file.write_text("secret")
    file.chmod(0o600)
    variables.values["bakehouse_signing_key"] = f"file://{file}"
    with pytest.raises(PermanentError, match="is no private key in PEM without a password"):
        signing_key(CONNECTION)


def test_a_folder_that_cannot_be_written_is_told_with_the_setting(
    variables: Variables, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "file"))
    with pytest.raises(PermanentError, match="Set the Variable bakehouse_signing_key to"):
        signing_key(CONNECTION)
    assert not variables.values


def test_after_a_rotation_what_was_signed_before_still_counts(variables: Variables) -> None:
    old = sign(signed.statements(), signing_key(CONNECTION).signer)
    default_key_file().unlink()  # as the guide says
    new = sign(signed.statements(), signing_key(CONNECTION).signer)
    assert old != new
    trusted = read_trust().keys
    for data in (old, new):
        assert {one.signature for one in read_envelopes(data, trusted)} == {Signature.VALID}
    kept = parse_trusted_keys(variables.values[TRUSTED_KEYS])
    assert len(kept) == 2


def test_a_key_that_is_taken_out_does_not_count_any_more(variables: Variables) -> None:
    old = sign(signed.statements(), signing_key(CONNECTION).signer)
    default_key_file().unlink()
    variables.values[TRUSTED_KEYS] = "{}"
    assert {one.signature for one in read_envelopes(old, read_trust().keys)} == {
        Signature.UNTRUSTED
    }


def test_a_variable_that_cannot_be_written_stops_no_signature(
    variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("read only")

    monkeypatch.setattr(Variable, "set", refuse)
    signing_key(CONNECTION)
    assert by_key(read_trust().keys) == [Signature.VALID] * 2
    assert not variables.values


def test_a_variable_that_cannot_be_read_is_told(variables: Variables) -> None:
    variables.values[TRUSTED_KEYS] = "-----BEGIN PUBLIC KEY-----"
    with pytest.raises(PermanentError, match="Variable bakehouse_trusted_keys is not JSON"):
        read_trust()
    variables.values[TRUSTED_KEYS] = '{"k": "-----BEGIN PUBLIC KEY-----"}'
    with pytest.raises(PermanentError, match="has a key that cannot be read"):
        read_trust()


def test_cloud_kms_signs_and_its_public_key_is_read_once(
    kms: FakeKms, variables: Variables
) -> None:
    data = sign(signed.statements(), signing_key(CONNECTION).signer)
    assert kms.calls == ["getPublicKey", "asymmetricSign", "asymmetricSign"]
    read = read_envelopes(data, read_trust().keys)
    assert [one.signature for one in read] == [Signature.VALID] * 2
    assert kms.calls.count("getPublicKey") == 1  # the Variable has it since
    (listed,) = parse_trusted_keys(variables.values[TRUSTED_KEYS]).values()
    assert listed.scheme == "ecdsa-sha2-nistp256"
    assert not default_key_file().exists()


def test_a_signature_of_cloud_kms_that_was_edited_is_wrong(kms: FakeKms) -> None:
    data = sign(signed.statements(), signing_key(CONNECTION).signer)
    envelope = json.loads(data.splitlines()[0])
    envelope["payload"] = envelope["payload"][:-8] + "AAAAAAA="
    (read,) = read_envelopes(json.dumps(envelope).encode(), read_trust().keys)
    assert read.signature is Signature.WRONG
    assert kms.calls


@pytest.mark.parametrize(
    ("status", "kind"), [(403, PermanentError), (404, BakehouseError), (503, OutcomeUnknown)]
)
def test_what_cloud_kms_refuses_is_told_by_kind(
    kms: FakeKms, status: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.cloud.kms_calls.READ_RETRIES", 0)
    kms.answers = [status]
    with pytest.raises(kind, match=f"read {KEY}"):
        signing_key(CONNECTION)


def test_a_key_that_nobody_else_could_verify_is_refused(kms: FakeKms) -> None:
    kms.algorithm = "HMAC_SHA256"
    with pytest.raises(PermanentError, match="has the algorithm HMAC_SHA256; it must be one of"):
        signing_key(CONNECTION)


def test_an_image_is_verified_by_what_lies_beside_the_ledger(
    variables: Variables, tmp_path: Path
) -> None:
    ledger = f"file://{tmp_path}/ledger"
    data = sign(signed.statements(), signing_key(CONNECTION).signer)
    store = AttestationStore(ledger)
    store.write(IMAGE.name, IMAGE.id, data)
    assert store.read(IMAGE.name, IMAGE.id) == data
    store.write(IMAGE.name, IMAGE.id, b"another try")
    assert store.read(IMAGE.name, IMAGE.id) == data
    images = [IMAGE, IMAGE.model_copy(update={"id": "4712"})]
    told = Attestations(ledger).verdicts(images)
    assert told["4711"].state is AttestationState.VERIFIED
    assert "has made it again under its name" in told["4712"].reason
    whole = Attestations(ledger).verdict(IMAGE)
    assert whole.reason == "manifests/web-1.spdx.json of the ledger is missing"
    variables.values[TRUSTED_KEYS] = "{}"
    default_key_file().unlink()
    assert "which is not trusted" in Attestations(ledger).verdicts(images)["4711"].reason


def listed(image_id: str, **told: str) -> dict[str, Any]:
    """An image as Compute Engine lists it."""
    link = f"https://www.googleapis.com/compute/v1/projects/p/global/images/{IMAGE.name}"
    return {
        "kind": "compute#image",
        "selfLink": link,
        "name": IMAGE.name,
        "id": image_id,
        "labels": signed.LABELS | told,
    }


def test_a_page_says_of_promoted_images_whether_they_are_as_signed(
    variables: Variables, tmp_path: Path
) -> None:
    variables.set("bakehouse_ledger", f"file://{tmp_path}/ledger")
    store = AttestationStore(f"file://{tmp_path}/ledger")
    store.write(IMAGE.name, IMAGE.id, sign(signed.statements(), signing_key(CONNECTION).signer))
    states = SignedStates()
    assert states([listed(IMAGE.id)]) == {IMAGE.name: "verified"}
    assert states([listed(IMAGE.id, **{labels.GIT_SHA: "b" * 40})]) == {IMAGE.name: "refused"}
    assert states([listed("4712")]) == {IMAGE.name: "refused"}
    assert states([listed(IMAGE.id, **{labels.STATE: "candidate"})]) == {}, "not signed yet"
    variables.set(TRUSTED_KEYS, "{}")
    default_key_file().unlink()
    assert states([listed(IMAGE.id)]) == {IMAGE.name: "refused"}, "its key is not trusted any more"
