"""record: run the subject over the corpus; keep each unit's strongest and some random excerpts."""

import hashlib
import logging
import platform
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.files import open_array
from neurogloss.artifacts.recordings import OPEN_SPLITS, Recordings, Slots, Split, assign_splits, read_recordings, write_recordings
from neurogloss.artifacts.units import UnitKind
from neurogloss.config.corpus import CorpusParams
from neurogloss.config.environment import engine, memory_mb, recorder, repository, threads
from neurogloss.config.params import Params
from neurogloss.config.record import RecordParams
from neurogloss.config.subject import SubjectParams
from neurogloss.corpus.documents import read_documents
from neurogloss.corpus.splits import Needed, hold_out_documents
from neurogloss.corpus.windows import Excerpts, draw_excerpts
from neurogloss.errors import UserError
from neurogloss.memory import give_back_freed_memory
from neurogloss.parallel import ordered_parallel_map
from neurogloss.recording.assembly import Assembly
from neurogloss.recording.checkpoint import Scratch, run_key
from neurogloss.recording.device_run import on_device, record_on_device
from neurogloss.recording.finish import LayerResult, finish
from neurogloss.recording.keys import with_keys
from neurogloss.recording.layers import LayerPlan, TokenTable, chosen_units, excerpt_rng, frequent_tokens, plan_layers
from neurogloss.recording.output_side import with_output_side
from neurogloss.recording.sparse import SparseState
from neurogloss.recording.sparse_finish import finish_sparse
from neurogloss.recording.stream import Job, State, empty_states, held, stream, streams
from neurogloss.subject.device import device
from neurogloss.subject.directions import read_directions
from neurogloss.subject.model import Subject, load_subject
from neurogloss.subject.sae.sources import resolve_coder
from neurogloss.subject.sources import resolve

logger = logging.getLogger(__name__)

CODE = 4
"""Raised with every change of the arithmetic, so that half-finished work of older code is not taken up."""
SPARSE_BYTES = 200
"""Of a sparse unit's state for each of its strongest excerpts: some tokens that fire, and their sums."""


def record(params: Params, out: Path) -> Recordings:
    """Record the neurons that the params name, write the recordings to the folder `out`, and open them.

    Activations are in the subject's own unit, float16 (neuron, slot, token). Half-finished work lies in `.cache/record/` of the
    repository and is resumed by the next run of the same params; two at once would spoil it, so the second is refused. Raises UserError
    where subject, corpus and params do not fit together.
    """
    subject = load_subject(params.subject)
    excerpts, counts = read_excerpts(params.corpus, params.record, subject)
    check_fits(subject, params.subject.model, excerpts)
    scratch = open_scratch(params.subject, params.record, excerpts)
    with scratch.alone():
        found = record_excerpts(subject, excerpts, params.record, scratch, UnitKind(params.subject.units))
        found.about.update(about(params.subject, params.corpus, subject, counts))
        found = with_output_side(found, subject, excerpts)
        found = with_keys(found, subject) if found.kind is UnitKind.HEADS else found
        write_recordings(out, found)
        scratch.remove()
    logger.info("recorded %s %s of %s layers on %s excerpts", len(found), found.kind, len(set(found.layers.tolist())), len(excerpts.starts))
    return read_recordings(out)


def check_fits(subject: Subject, source: str, excerpts: Excerpts) -> None:
    """UserError where the model has no place for so many tokens, or no embedding for one of them."""
    tokens, first = excerpts.tokens.shape[1], int(subject.bos is not None)
    places = getattr(subject.model.config.get_text_config(), "max_position_embeddings", None)
    if places is not None and tokens + first > places:
        raise UserError(f"record.tokens is {tokens}{' and a BOS token' * first}, and {source} has {places} places")
    rows, highest = subject.model.get_input_embeddings().weight.shape[0], int(excerpts.tokens.max())
    if highest >= rows:
        raise UserError(f"the tokenizer of {source} gives the token {highest}, and its embedding has {rows} rows")


def record_excerpts(
    subject: Subject, excerpts: Excerpts, params: RecordParams, scratch: Scratch, kind: UnitKind = UnitKind.NEURONS
) -> Recordings:
    """Units sorted by layer and index; the large arrays stay in the scratch folder."""
    plans = plan_layers(params, subject.indices, excerpts.held_out, chosen_units(params, kind), kind is UnitKind.LATENTS)
    slots = assign_splits(params.top, params.random, params.per_split)
    table = frequent_tokens(excerpts.tokens[~excerpts.held_out], params.table_tokens)
    assembly = Assembly(scratch, sum(len(plan.neurons) for plan in plans))
    if on_device() and engine() == "local" and not any(plan.sparse for plan in plans):
        record_on_device(subject, excerpts, plans, table, params, slots, scratch, assembly)
    else:
        record_in_memory(subject, excerpts, plans, table, params, slots, scratch, assembly)
    statistics = assembly.statistics()
    return Recordings(
        layers=statistics["layer"].to_numpy(),
        indices=statistics["neuron"].to_numpy(),
        statistics=statistics,
        peaks=statistics["peak"].to_numpy(zero_copy_only=False).astype(np.float64),
        slots=slots,
        corpus=excerpts.tokens,
        documents=pa.table({"document": excerpts.documents, "start": excerpts.starts}),
        vocabulary=subject.vocabulary,
        excerpts=open_array(assembly.path("excerpts")),
        activations=assembly.array("activations"),
        table_tokens=table.tokens,
        table_counts=table.counts,
        token_means=assembly.array("token_means"),
        about={
            "clipped_activations": assembly.clipped,
            "tokens_seen": int(excerpts.tokens.size),
            "split_by": "document" if excerpts.held_out.any() else "window",
            "held_out_excerpts": int(excerpts.held_out.sum()),
        },
        kind=kind,
    )


def record_in_memory(
    subject: Subject,
    excerpts: Excerpts,
    plans: Sequence[LayerPlan],
    table: TokenTable,
    params: RecordParams,
    slots: Slots,
    scratch: Scratch,
    assembly: Assembly,
) -> None:
    """Record the layers that are not in the assembly yet, pass by pass, with states in the processor's memory."""
    room = int(memory_mb() * 1e6 - streams(subject.held) * held(subject.held))
    for group in passes(plans, params, len(table.tokens), room):
        if all(plan.layer in assembly.finished for plan in group):
            continue
        job = Job(subject.loader, excerpts, group, table, params.top)
        give_back_freed_memory()
        states = empty_states(job)
        stream(subject, job, states, scratch)
        left = [pair for pair in zip(group, states, strict=True) if pair[0].layer not in assembly.finished]
        del states
        for layer, result in finished(left, slots, excerpts, table):
            assembly.add(layer, result)


def finished(left: list[tuple[LayerPlan, State]], slots: Slots, excerpts: Excerpts, table: TokenTable) -> Iterator[tuple[int, LayerResult]]:
    """The result of each layer; the next ones are worked on while one is written. `left` is emptied."""

    def result(pair: tuple[LayerPlan, State]) -> tuple[int, LayerResult]:
        plan, state = pair
        if isinstance(state, SparseState):
            return plan.layer, finish_sparse(plan, state, slots, excerpts, table)
        return plan.layer, finish(plan, state, slots, excerpts, table)

    return ordered_parallel_map(result, (left.pop(0) for _ in range(len(left))), threads())


def passes(plans: Sequence[LayerPlan], params: RecordParams, entries: int, room: int) -> list[Sequence[LayerPlan]]:
    """Layers that are recorded together: no more passes than their states need in so many bytes, as even as can be.

    Even ones need the least memory, and those before the last end early in the model. The result is the same however layers are grouped.
    """
    each = (params.top + params.random) * (2 * params.tokens + 12) + 8 * entries + 100
    sparse = SPARSE_BYTES * params.top
    needed = [len(plan.neurons) * (sparse if plan.sparse else each) for plan in plans]
    runs = split(needed, room)
    limits = sorted({sum(needed[start:stop]) for stop in range(len(needed) + 1) for start in range(stop)})
    even = limits[bisect_left(limits, -len(runs), key=lambda limit: -len(split(needed, limit)))]
    if len(runs) > 1:
        logger.info("recording in %s passes, because NEUROGLOSS_MEMORY_MB is %s", len(runs), memory_mb())
    return [plans[run.start : run.stop] for run in split(needed, even)]


def split(needed: Sequence[int], limit: int) -> list[range]:
    """Neighbours that need no more than the limit together, or are alone.

    >>> split([3, 2, 2, 9, 1], 5)
    [range(0, 2), range(2, 3), range(3, 4), range(4, 5)]
    """
    runs, used = [range(0)], 0
    for place, more in enumerate(needed):
        if runs[-1] and used + more > limit:
            runs.append(range(place, place))
            used = 0
        runs[-1] = range(runs[-1].start, place + 1)
        used += more
    return runs


def read_excerpts(corpus: CorpusParams, params: RecordParams, subject: Subject) -> tuple[Excerpts, Counter[str]]:
    """Draw the excerpts; the counts say what the corpus held and what was left out."""
    counts: Counter[str] = Counter()
    documents = read_documents(corpus, counts)

    def encode(texts: list[str]) -> list[list[int]]:
        counts["special_tokens"] += subject.special_tokens_in(texts)
        return subject.encode(texts)

    excerpts = draw_excerpts(documents, encode, params.excerpts, params.tokens, excerpt_rng(params.seed), counts)
    slots = assign_splits(params.top, params.random, params.per_split)
    needed = Needed(len(slots.where(Split.SCORE)), len(slots.where(*OPEN_SPLITS)))
    excerpts = hold_out_documents(excerpts, params.split_by, needed, params.seed)
    left_out = {key: counts[key] for key in ("malformed", "skipped", "too_short", "repeated") if counts[key]}
    logger.info("drew %s excerpts from %s documents; left out: %s", params.excerpts, counts["documents"], left_out or "nothing")
    return excerpts, counts


def open_scratch(subject: SubjectParams, params: RecordParams, excerpts: Excerpts) -> Scratch:
    """The folder of half-finished work of exactly this run."""
    key = run_key(
        {
            "code": CODE,
            "subject": subject.model_dump(),
            "weights": fingerprint(subject),
            "record": params.model_dump(),
            "units": chosen_units(params, UnitKind(subject.units)),
            "tokens": hashlib.sha256(excerpts.tokens.tobytes() + excerpts.held_out.tobytes()).hexdigest(),
            "machine": [device(), recorder(), threads(), platform.machine(), version("torch"), version("transformers"), version("numpy")],
        }
    )
    return Scratch(repository() / ".cache" / "record" / key, key)


def fingerprint(params: SubjectParams) -> list[list[Any]]:
    """Name, size and time of the files of the model and of what gives its latents."""
    paths = [resolve(params.model, params.revision, params.sha256)]
    if params.sae is not None:
        paths += [resolve_coder(source, params.sae.revision, params.sae.sha256) for source in params.sae.sources]
    if params.directions is not None:
        paths += [Path(params.directions)]
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def about(subject: SubjectParams, corpus: CorpusParams, loaded: Subject, counts: Counter[str]) -> dict[str, Any]:
    """What a reader of the recordings wants to know of their origin; nothing of the machine."""
    return {
        "subject": subject.model_dump(),
        "architecture": loaded.model.config.model_type,
        "first_site": next(filter(None, loaded.sites)),
        "layers_without_site": [layer for layer, site in enumerate(loaded.sites) if not site],
        "widths": list(loaded.widths),
        "bos": loaded.bos,
        "corpus": corpus.model_dump(),
        "documents": counts["documents"],
        "documents_malformed": counts["malformed"],
        "documents_skipped": counts["skipped"],
        "documents_too_short": counts["too_short"],
        "corpus_tokens": counts["tokens"],
        "corpus_windows": counts["windows"],
        "special_tokens_read_as_text": counts["special_tokens"],
        "windows_repeated": counts["repeated"],
        **({"directions": read_directions(Path(subject.directions)).report} if subject.directions is not None else {}),
    }
