"""Examination: one file with one manifest store, check by check, and the verdict over them."""

from __future__ import annotations

import functools
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from castmark_provenance import manifest as labels
from castmark_provenance.chain import problems_at
from castmark_provenance.claim import REQUIRED_RUNGS, Claim
from castmark_provenance.containers import Located
from castmark_provenance.durable.answer import of_whole
from castmark_provenance.errors import ClaimError
from castmark_provenance.jumbf import Manifest
from castmark_provenance.layout import exclusion_problems, time_stamped, uncovered
from castmark_provenance.pixels import Pixels, decode, is_lossy
from castmark_provenance.report import Check, CheckName, Outcome, Report, Signer, State
from castmark_provenance.tree import found, items, record, records, text
from castmark_provenance.trust import TRUST_CONFIG

UNTRUSTED = "signingCredential.untrusted"
EXPIRED = "signingCredential.expired"
TRUSTED_STAMP = "timeStamp.trusted"
ASK_FOR_ORIGINAL = "ask whoever sent it for the original file"


@functools.lru_cache(maxsize=8)
def _context(anchors: str, process: int) -> Any:
    """The library's settings for these anchors; one per process, as its handles do not survive a fork."""
    import c2pa

    trust = {"trust_config": TRUST_CONFIG} | ({"user_anchors": anchors} if anchors else {})
    return c2pa.Context.from_dict(
        {
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
            "trust": trust,
        }
    )


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a file is judged by: anchors (PEM), checks that must pass, and as of when (None: now).

    ``pixels`` are what the file decodes to where that is known already: to the signer, who has just looked.
    """

    anchors: str
    required: tuple[CheckName, ...] = ()
    at: datetime | None = None
    pixels: Pixels | None = None


def library_crjson(data: bytes, media_type: str, anchors: str) -> dict[str, Any] | None:
    """The library's crJSON of a file, or None if it can read no manifest there."""
    import c2pa

    try:
        with c2pa.Reader(media_type, io.BytesIO(data), context=_context(anchors, os.getpid())) as reader:
            return record(json.loads(reader.crjson()))
    except (c2pa.C2paError, ValueError, RecursionError):
        return None


@dataclass
class Examination:
    """One file with one manifest store, check by check."""

    data: bytes
    media_type: str
    located: Located
    checks: list[Check] = field(default_factory=list[Check])
    signer: Signer | None = None
    generator: str | None = None
    claim: Claim | None = None

    def report(self, path: str | None, terms: Terms) -> Report:
        """Run every check and draw the verdict."""
        manifests, problems = uncovered(self.located)
        if not manifests:  # the library is not shown what is no store: some of it would exhaust its stack
            self._add("manifest", "failed", f"it is not built as it must be: {'; '.join(problems[:5])}")
        elif (store := self._library_verdict(terms.anchors)) is not None:
            self._examine(store, manifests, problems, terms)
        state, what, remedy = self._verdict(terms.required)
        return Report(
            path=path,
            state=state,
            exit_code=state.exit_code,
            verdict=f"{state.value}: {what}",
            remedy=remedy,
            media_type=self.media_type,
            signer=self.signer,
            generator=self.generator,
            checks=tuple(self.checks),
            claim=self.claim,
        )

    def _add(self, name: CheckName, outcome: Outcome, detail: str) -> None:
        self.checks.append(Check(name=name, outcome=outcome, detail=detail))

    def _settle(self, name: CheckName, problems: list[str], good: str) -> None:
        self._add(name, "failed" if problems else "passed", "; ".join(problems[:5]) if problems else good)

    def _library_verdict(self, anchors: str) -> dict[str, Any] | None:
        """The C2PA library's reading of the file; None if it cannot read the manifest at all."""
        import c2pa

        try:
            context = _context(anchors, os.getpid())
            with c2pa.Reader(self.media_type, io.BytesIO(self.data), context=context) as reader:
                store = record(json.loads(reader.detailed_json()))
        except (c2pa.C2paError, ValueError, RecursionError) as error:
            self._add("manifest", "failed", f"it cannot be read ({str(error)[:200]})")
            return None
        if store.get("active_manifest") not in record(store.get("manifests")):
            self._add("manifest", "failed", "it names no active manifest")
            return None
        self._add("manifest", "passed", "one manifest store, embedded")
        return store

    def _examine(
        self, store: dict[str, Any], manifests: tuple[Manifest, ...], problems: list[str], terms: Terms
    ) -> None:
        active = record(store["manifests"][store["active_manifest"]])
        results = record(store.get("validation_results"))
        own = record(results.get("activeManifest"))
        codes = sorted(set(_failures(own)))
        broken = [code for code in codes if code not in (UNTRUSTED, EXPIRED)]
        if store.get("validation_state") not in ("Trusted", "Valid") and not codes:
            broken = ["the library calls it invalid without a reason"]
        self._settle("integrity", broken, "pixels, assertions and signature match")
        self._check_layout(store, active, manifests, problems)
        self._name_signer(active)
        self._check_signer(store, active, own, manifests[-1], terms)
        if any(check.outcome == "failed" and check.name != "signer" for check in self.checks):
            for name in _CONTENT:
                self._add(name, "not checked", "what the manifest says counts only if it is intact")
        else:
            self._examine_content(active, results, terms.pixels)
        self._add("revocation", "not checked", "needs the network; this verifier works offline")
        self.checks += of_whole(self.data, active, terms.required)

    def _examine_content(
        self, active: dict[str, Any], results: dict[str, Any], pixels: Pixels | None
    ) -> None:
        """What an intact manifest says, whoever signed it."""
        problems = labels.vocabulary_problems(active)
        self._settle("vocabulary", problems, "labels and source types are known ones")
        if missing := labels.disclosure_problems(active):
            self._add("ai_disclosure", "absent", "; ".join(missing))
        else:
            self._add("ai_disclosure", "passed", "made by a trained model, by the signer's own assertions")
        self._check_claim(active)
        self._check_ingredients(active, results)
        self._check_pixels(pixels)

    def _check_layout(
        self,
        store: dict[str, Any],
        active: dict[str, Any],
        manifests: tuple[Manifest, ...],
        problems: list[str],
    ) -> None:
        problems += exclusion_problems(manifests[-1], labels.assertions(active), self.located)
        problems += store_problems(store, manifests)
        self._settle("layout", problems, "every byte outside the hashes has its one possible value")

    def _name_signer(self, active: dict[str, Any]) -> None:
        signature = record(active.get("signature"))
        info = record(record(active.get("claim")).get("claim_generator_info"))
        self.generator = " ".join(filter(None, (text(info.get("name")), text(info.get("version"))))) or None
        self.signer = Signer(
            common_name=text(signature.get("common_name")),
            organisation=text(signature.get("issuer")),
            algorithm=text(signature.get("alg")),
        )

    def _check_signer(
        self,
        store: dict[str, Any],
        active: dict[str, Any],
        own: dict[str, Any],
        manifest: Manifest,
        terms: Terms,
    ) -> None:
        """The certificates as of the moment asked for, or as of a trusted time-stamp from before it.

        The library judges them as of now: where that is what was asked, it must be content as well.
        """
        asked, successes = terms.at or datetime.now(UTC), _successes(own)
        stamped = TRUSTED_STAMP in successes
        said = text(record(active.get("signature")).get("time")) if stamped else None
        moment = datetime.fromisoformat(said) if said else asked
        loose, untimely = problems_at(manifest, terms.anchors, min(moment, asked))
        if terms.at is None:
            if store.get("validation_state") != "Trusted" or "signingCredential.trusted" not in successes:
                loose = loose or ["by the C2PA library"]
            if EXPIRED in _failures(own):
                untimely = ["the signing certificate has ended and there is no trusted time-stamp"]
            today = "the certificate is valid now"
        else:
            if moment > asked:
                untimely.append(f"signed at {moment:%Y-%m-%d %H:%M}, after the moment asked for")
            today = f"the certificates were valid at {asked:%Y-%m-%d %H:%M}, as asked"
        found = f"leads to no trust anchor given ({'; '.join(loose)})" if loose else "leads to a trust anchor"
        self._add("signer", "failed" if loose else "passed", f"{self._signer_name} {found}")
        if untimely or stamped:
            self._settle("time", untimely, "a trusted time-stamp")
        else:
            self._add("time", "not checked", f"no trusted time-stamp; {today}")

    @property
    def _signer_name(self) -> str:
        if self.signer is None or self.signer.common_name is None:
            return "the signer"
        return f"{self.signer.common_name} ({self.signer.organisation or 'no organisation'})"

    def _check_claim(self, active: dict[str, Any]) -> None:
        try:
            self.claim = labels.from_manifest(active)
        except ClaimError as error:
            self._add("safety_record", "failed", str(error))
            return
        if self.claim is None:
            self._add("safety_record", "absent", "the signer states no safety check")
            return
        safety = self.claim.safety
        good = f"{len(safety.findings)} findings under policy {safety.policy!r} allow it ({safety.domain})"
        self._settle("safety_record", refusals(self.claim), good)

    def _check_ingredients(self, active: dict[str, Any], results: dict[str, Any]) -> None:
        stored, codes = _ingredients(active), ingredient_codes(active, results)
        problems = ingredient_problems(active, codes, self.claim)
        if not stored and not problems:
            self._add("ingredients", "absent", "the signer names no ingredient")
        elif not problems and UNTRUSTED in codes:
            self._add(
                "ingredients", "not checked", "intact, and signed by someone who leads to no trust anchor"
            )
        else:
            self._settle("ingredients", problems, f"{len(stored)} ingredients, linked and intact")

    def _check_pixels(self, pixels: Pixels | None) -> None:
        if self.claim is None:
            self._add("pixels", "not checked", "no safety record to compare them with")
            return
        try:
            pixels = pixels or decode(self.data, self.media_type)
        except ValueError as error:
            self._add("pixels", "failed", f"they cannot be decoded ({error})")
            return
        if (pixels.width, pixels.height) != (self.claim.width, self.claim.height):
            stated = f"{self.claim.width}x{self.claim.height}"
            self._add("pixels", "failed", f"{pixels.width}x{pixels.height} is not the recorded {stated}")
        elif pixels.digest == self.claim.safety.pixel_sha256:
            self._add("pixels", "passed", "they are the very pixels the safety check saw")
        elif is_lossy(self.data, self.media_type):
            self._add("pixels", "not checked", "lossy coding: the signer compared them before encoding")
        else:
            self._add("pixels", "failed", "they are not the pixels the safety check saw")

    def _verdict(self, required: Sequence[CheckName]) -> tuple[State, str, str | None]:
        outcomes: dict[CheckName, Outcome] = {c.name: c.outcome for c in self.checks}
        details: dict[CheckName, str] = {check.name: check.detail for check in self.checks}
        failed: list[CheckName] = [
            check.name for check in self.checks if check.outcome == "failed" and check.name != "signer"
        ]
        if failed:
            first = failed[0]
            return State.INVALID, f"{first}: {details[first]}", _REMEDIES.get(first, ASK_FOR_ORIGINAL)
        if outcomes.get("signer") != "passed":
            remedy = "if you know this signer, get their root certificate from them and give it with --trust"
            return State.UNTRUSTED, f"intact, but {details['signer']}", remedy
        unmet: list[CheckName] = [name for name in required if outcomes.get(name) != "passed"]
        if unmet:
            what = "; ".join(f"{name} is required and {outcomes[name]} ({details[name]})" for name in unmet)
            remedy = f"ask the signer for an image with {', '.join(unmet)}, or do not require it"
            return State.UNMET, what, remedy
        parts = [f"signed by {self._signer_name}"]
        parts += [_GOOD[name] for name in _GOOD if outcomes.get(name) == "passed"]
        return State.TRUSTED, ", ".join(parts), None


_CONTENT: tuple[CheckName, ...] = ("vocabulary", "ai_disclosure", "safety_record", "ingredients", "pixels")
_GOOD: dict[CheckName, str] = {
    "ai_disclosure": "made by a trained model",
    "safety_record": "safety record complete",
    "pixels": "pixels as checked",
}
_REMEDIES: dict[CheckName, str] = {
    "time": "ask the signer to sign the image again with a current certificate",
    "vocabulary": "ask the signer to correct their manifest and sign again",
    "safety_record": "do not use the image; ask the signer for one that passed its check",
}


def store_problems(store: dict[str, Any], manifests: tuple[Manifest, ...]) -> list[str]:
    """Where a store's manifests are not those that the library validated, or its time-stamp is not valid."""
    in_file, own = {manifest.label for manifest in manifests}, manifests[-1]
    validated = record(store.get("manifests"))
    if in_file != set(validated) or own.label != store.get("active_manifest"):
        return ["the manifests in the file are not those that were validated"]
    problems: list[str] = []
    successes = _successes(record(record(store.get("validation_results")).get("activeManifest")))
    if time_stamped(own) and "timeStamp.validated" not in successes:
        problems.append("an unsigned time-stamp that is not a valid one")
    loose = in_file - labels.reachable(validated, own.label)
    return [*problems, *(f"manifest {label}: no ingredient leads to it" for label in sorted(loose))]


def refusals(claim: Claim) -> list[str]:
    """Why the safety record that was signed does not allow the image."""
    findings = claim.safety.findings
    refused = [f"{f.rung} {f.name} forbids the image" for f in findings if f.binding and not f.allowed]
    missing = REQUIRED_RUNGS - {finding.rung for finding in findings}
    return [*refused, *(f"{rung} was not checked" for rung in sorted(missing))]


def ingredient_problems(active: dict[str, Any], codes: list[str], claim: Claim | None) -> list[str]:
    """Where ingredients, of which the library says ``codes``, are not intact, or not those
    of the record. An unknown signer's may be intact."""
    problems = [f"an ingredient is not intact: {code}" for code in codes if code != UNTRUSTED]
    return problems if claim is None else [*problems, *labels.ingredient_problems(active, claim)]


def _ingredients(active: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in labels.assertions(active).items() if k.startswith("c2pa.ingredient")}


def ingredient_codes(active: dict[str, Any], results: dict[str, Any]) -> list[str]:
    """What the library found wrong with ingredients: its own verdict leaves them out."""
    deltas = results.get("ingredientDeltas") or []
    return sorted({*_failures(deltas), *_failures(_ingredients(active))})


def _failures(value: object) -> list[str]:
    """Codes of every failure recorded anywhere inside a validation result."""
    return [str(record(entry).get("code")) for listed in found(value, "failure") for entry in items(listed)]


def _successes(value: dict[str, Any]) -> set[str]:
    """Codes of what a manifest's validation found right."""
    return {str(entry.get("code")) for entry in records(value.get("success"))}
