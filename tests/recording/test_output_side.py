"""What is recorded beside activations: promoted tokens of every kind, how well latents reconstruct, what heads read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurogloss.artifacts.recordings import Recordings, Split, read_recordings
from neurogloss.artifacts.sparse import SparseRows
from neurogloss.config.params import Params
from neurogloss.errors import UserError
from neurogloss.recording.run import record
from neurogloss.scorers.attends import read_pairs
from neurogloss.subject.model import Subject, load_subject
from tests.pipeline import tiny_params, write_corpus
from tests.subject.coders import arrays, save_saelens


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Record a kind of unit of the tiny model, once for each kind."""
    folder, found = tmp_path_factory.mktemp("kinds"), {}
    corpus, patch = write_corpus(folder / "corpus"), pytest.MonkeyPatch()
    patch.chdir(folder)
    good = arrays()
    good["W_enc"], good["b_enc"], good["b_dec"] = np.eye(32, 96, dtype=np.float32), np.zeros(96, np.float32), np.zeros(32, np.float32)
    good["W_enc"][:, 32:64] = -np.eye(32)
    good["W_dec"] = np.ascontiguousarray(good["W_enc"].T)  # Both signs of every number: nothing is lost.
    coder = save_saelens(folder / "sae", good)
    kinds: dict[str, dict[str, Any]] = {
        "neurons": {"signed": True},
        "latents": {"units": "latents", "sae": {"source": str(coder)}},
        "heads": {"units": "heads", "bos": "<s>"},
    }

    def recorded(kind: str) -> tuple[Recordings, Subject]:
        if kind not in found:
            raw = tiny_params(tiny_model, corpus)
            raw["subject"] |= kinds[kind]
            raw["record"]["neurons"] = "all"
            params = Params.model_validate(raw)
            record(params, folder / kind)
            found[kind] = read_recordings(folder / kind), load_subject(params.subject)
        return found[kind]

    yield recorded
    patch.undo()


def expected(directions: torch.Tensor, subject: Subject, recordings: Recordings) -> tuple[np.ndarray, np.ndarray]:
    table = subject.model.lm_head.weight * subject.model.model.norm.weight
    logits = (directions @ table[torch.from_numpy(np.asarray(recordings.table_tokens, np.int64))].T).detach()
    tokens = np.asarray(recordings.table_tokens)
    return tokens[logits.topk(10, dim=1).indices.numpy()], tokens[(-logits).topk(10, dim=1).indices.numpy()]


def test_neurons_promote_what_their_row_of_the_projection_says_and_negative_sides_the_opposite(made: Any) -> None:
    recordings, subject = made("neurons")
    rows = np.array([recordings.row(1, index) for index in (5, ~5)])
    down = subject.model.model.layers[1].mlp.down_proj.weight[:, 5]
    promoted, suppressed = expected(down[None], subject, recordings)
    assert recordings.promoted is not None
    np.testing.assert_array_equal(recordings.promoted.tokens[rows[0]], [promoted[0], suppressed[0]])
    np.testing.assert_array_equal(recordings.promoted.tokens[rows[1]], [suppressed[0], promoted[0]])
    assert (np.diff(recordings.promoted.logits[rows[0], 0].astype(float)) <= 0).all()
    assert recordings.promoted_texts(int(rows[0])) == [recordings.text(int(token)) for token in promoted[0]]


def test_latents_promote_what_their_row_of_the_decoder_says(made: Any) -> None:
    recordings, subject = made("latents")
    assert set(recordings.layers) == {1} and len(recordings) == 96 and isinstance(recordings.activations, SparseRows)
    promoted, suppressed = expected(torch.eye(32)[7:8], subject, recordings)
    row = recordings.row(1, 7)
    np.testing.assert_array_equal(recordings.promoted.tokens[row], [promoted[0], suppressed[0]])
    np.testing.assert_array_equal(recordings.promoted.tokens[recordings.row(1, 39)], [suppressed[0], promoted[0]])


def test_a_coder_that_loses_nothing_explains_all_variance_and_dead_latents_are_seen(made: Any) -> None:
    recordings, _ = made("latents")
    (coder,) = recordings.about["sae"]
    assert coder["variance_explained"] == pytest.approx(1, abs=1e-5) and coder["l0"] == pytest.approx(32, abs=0.1)
    assert (coder["layer"], coder["module"], coder["format"]) == (1, "model.layers.1", "SAELens")
    never = recordings.statistics["above_zero_share"].to_numpy()[64:]
    assert (never == 0).all()  # Columns of zeros: dead.


def test_heads_promote_the_mean_of_what_they_write_most(made: Any) -> None:
    recordings, _ = made("heads")
    assert len(recordings) == 8 and (np.asarray(recordings.promoted.tokens) >= 0).all()
    assert not np.array_equal(recordings.promoted.tokens[0], recordings.promoted.tokens[1])


def test_the_keys_of_a_query_are_those_for_which_a_head_writes_most(made: Any) -> None:
    recordings, subject = made("heads")
    row, slot = recordings.row(1, 2), int(recordings.slots.where(Split.EXPLAIN)[0])
    tokens = torch.from_numpy(recordings.tokens(row, np.array([slot])).astype(np.int64))
    query = int(recordings.activations[row, slot].argmax())
    model, into = subject.model, []
    attention = model.model.layers[1].self_attn
    handle = attention.register_forward_pre_hook(
        lambda _, inputs, named: into.append(named["hidden_states"]), with_kwargs=True, prepend=True
    )
    whole = torch.cat([torch.tensor([[subject.bos]]), tokens], dim=1)
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        weights = model(input_ids=whole, output_attentions=True).attentions[1][0, 2, query + 1]
        values = attention.v_proj(into[0])[0].unflatten(1, (2, 8))[:, 1]  # Two queries share a key: head 2 has the second.
        written = torch.linalg.vector_norm(values @ attention.o_proj.weight[:, 16:24].T, dim=1) * weights
    handle.remove()
    best = written[1:].topk(3)
    assert recordings.keys is not None
    real = best.values.numpy() > 1e-4
    np.testing.assert_array_equal(recordings.keys.places[row, slot][real], best.indices.numpy()[real])
    np.testing.assert_allclose(recordings.keys.norms[row, slot], best.values.numpy(), rtol=2e-3, atol=1e-4)
    assert recordings.keys.places[row, slot, 0] <= query


def test_all_pairs_of_a_head_hold_the_keys_that_were_recorded_for_its_strongest_query(made: Any) -> None:
    from neurogloss.subject.attention import pairs_of

    recordings, subject = made("heads")
    slots = recordings.slots.where(Split.SCORE)
    excerpts = np.asarray(recordings.excerpts)[:, slots]
    found = pairs_of(subject, recordings.corpus, recordings.layers, recordings.indices, excerpts)
    queries = np.asarray(recordings.activations)[:, slots].argmax(axis=2)
    best = np.sort(np.take_along_axis(found, queries[..., None, None], axis=2)[:, :, 0], axis=2)[..., ::-1][..., :3]
    assert recordings.keys is not None
    np.testing.assert_allclose(best, recordings.keys.norms[:, slots], rtol=2e-3)
    assert not np.triu(found, 1).any()  # Nothing is read that comes later.
    np.testing.assert_array_equal(read_pairs(recordings, slots), found)


def test_the_usual_attention_is_back_after_heads_were_read(made: Any, tiny_model: Path) -> None:
    from neurogloss.subject.attention import NAME, watched

    _, subject = made("heads")
    usual = subject.model.config._attn_implementation
    with pytest.raises(UserError, match="does not show its attention weights"), watched(subject.model):
        assert subject.model.config._attn_implementation == NAME
        raise UserError("does not show its attention weights")
    assert subject.model.config._attn_implementation == usual
