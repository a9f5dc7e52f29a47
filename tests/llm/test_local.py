"""The model in this process: its answers equal those of a plain forward pass, whatever is asked beside them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurogloss.artifacts.status import Status
from neurogloss.config.params import load_params
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.local.generation import Question
from neurogloss.llm.local.prefixes import Prefixes
from neurogloss.llm.local.provider import Local, count_tokens, open_local
from neurogloss.llm.request import Message, Reply, Request
from neurogloss.llm.tokens import counter
from tests.tiny import save_tiny_model

TEMPLATE = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant: {% endif %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE


def loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def parts(tiny_model: Path) -> tuple[Any, Any]:
    return loaded(tiny_model)


@pytest.fixture
def local(parts: tuple[Any, Any]) -> Local:
    return Local(*parts, context=512)


@pytest.fixture(scope="module")
def with_bos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The same with a tokenizer that puts a BOS token first by itself."""
    from tokenizers.processors import TemplateProcessing

    model, tokenizer = loaded(save_tiny_model(tmp_path_factory.mktemp("bos")))
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)])
    return model, tokenizer


def echo(prompt: str, start: int = 0, top: int = 400, text: str = "unknown") -> Request:
    return Request("local", "tiny", prompt=prompt, echo=text, echo_from=start, top_logprobs=top)


def reference(parts: tuple[Any, Any], ids: list[int], position: int) -> np.ndarray:
    """Log-probabilities of the token at a position, from a plain forward pass over this prompt alone."""
    with torch.no_grad():
        return torch.log_softmax(parts[0](torch.tensor([ids])).logits[0, position - 1].float(), -1).numpy()


HEAD = "neurons of the cat and dog\nthe\t0\ncat\t7\n"
TAILS = [" sat\tunknown\n on\tunknown\n", " unknown\tunknown\n", "the\tunknown\n river\tunknown\n under\tunknown\n", "\\n\tunknown\n"]


@pytest.mark.parametrize("kind", ["parts", "with_bos"])
def test_an_echo_equals_a_plain_forward_pass_over_each_prompt_alone(kind: str, request: pytest.FixtureRequest) -> None:
    model, tokenizer = request.getfixturevalue(kind)
    answers = Local(model, tokenizer, 512).answer([echo(HEAD + tail, len(HEAD)) for tail in TAILS])
    for tail, answer in zip(TAILS, answers, strict=True):
        assert isinstance(answer, Reply)
        ids = tokenizer(HEAD + tail)["input_ids"]
        assert (ids[0] == tokenizer.bos_token_id) == (kind == "with_bos")
        assert len(answer.tokens) == tail.count("unknown")
        places = [
            i for i, start in enumerate(starts(tokenizer, HEAD + tail)) if (HEAD + tail).startswith("unknown", start) and start >= len(HEAD)
        ]
        for position, found in zip(places, answer.tokens, strict=True):
            expected = reference((model, tokenizer), ids, position)
            texts = [tokenizer.decode([i]) for i in range(len(expected))]
            for text, value in found.alternatives.items():
                alike = [expected[i] for i, other in enumerate(texts) if other == text]
                assert value == pytest.approx(np.logaddexp.reduce(alike), abs=1e-4)
            assert sum(np.exp(list(found.alternatives.values()))) == pytest.approx(1, abs=1e-4)


SMALL = {"vocab_size": 317, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt2": {"vocab_size": 317, "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3},
    "gpt_neox": {**SMALL, "intermediate_size": 48, "initializer_range": 0.3},
    "opt": {**SMALL, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3},
    "qwen2": {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "initializer_range": 0.3},
    "mistral": {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "sliding_window": 8, "initializer_range": 0.3},
    "gemma2": {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8, "initializer_range": 0.3},
}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_any_architecture_gives_what_its_plain_forward_pass_gives(kind: str, parts: tuple[Any, Any]) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **ARCHITECTURES[kind])).eval()
    local = Local(model, parts[1], 512)
    one, other = HEAD + "it sings of birds\n", HEAD + "it sings of rain\n"
    for head in (one, other, one):
        for tail, answer in zip(TAILS, local.answer([echo(head + tail, len(head)) for tail in TAILS]), strict=True):
            assert isinstance(answer, Reply)
            ids, spans = local.words.spell(head + tail)
            places = [i for i, (start, _) in enumerate(spans) if (head + tail).startswith("unknown", start) and start >= len(head)]
            for position, found in zip(places, answer.tokens, strict=True):
                assert found.alternatives[found.token] == pytest.approx(
                    reference((model, parts[1]), ids, position)[ids[position]], abs=1e-4
                )
    answers = local.answer([Request("local", kind, prompt=prompt, max_tokens=12) for prompt in PROMPTS])
    assert [a.text for a in answers if isinstance(a, Reply)] == [greedy((model, parts[1]), parts[1](p)["input_ids"], 12) for p in PROMPTS]


def test_a_model_without_keys_and_values_is_refused(parts: tuple[Any, Any]) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    model = MambaForCausalLM(MambaConfig(vocab_size=317, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(UserError, match="name a transformer"):
        Local(model, parts[1], 512)


def starts(tokenizer: Any, text: str) -> list[int]:
    """First character of each token, -1 for one that the tokenizer added."""
    spans = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    return [start if end > start else -1 for start, end in spans]


def test_the_shared_beginning_is_computed_once(local: Local) -> None:
    requests = [echo(HEAD + tail, len(HEAD)) for tail in TAILS]
    answers = local.answer(requests)
    sizes = [answer.usage.prompt for answer in answers if isinstance(answer, Reply)]
    shared = {answer.usage.cached_prompt for answer in answers if isinstance(answer, Reply)}
    assert len(shared) == 1
    (length,) = shared
    assert length >= 15
    rests = max(sizes) - length
    assert local.prefixes.computed == length + len(TAILS) * rests
    computed = local.prefixes.computed
    local.answer(requests)
    assert local.prefixes.computed == computed + len(TAILS) * rests  # The beginning is still there.


def test_another_explanation_takes_up_what_the_examples_have_in_common(local: Local) -> None:
    one, other = HEAD + "it sings of birds\n", HEAD + "it sings of rain\n"
    local.answer([echo(one + tail, len(one)) for tail in TAILS])
    before = local.prefixes.computed
    (found,) = local.answer([echo(other + TAILS[0], len(other))])
    assert isinstance(found, Reply)
    assert local.prefixes.computed - before < found.usage.prompt - 15
    (alone,) = Local(local.prefixes.model, local.words.tokenizer, 512).answer([echo(other + TAILS[0], len(other))])
    assert isinstance(alone, Reply)
    for a, b in zip(found.tokens, alone.tokens, strict=True):
        assert a.alternatives == pytest.approx(b.alternatives, abs=1e-4)


def test_little_memory_means_small_batches_and_the_same_answers(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    tails = TAILS[:2]
    requests = [echo(HEAD + tail, len(HEAD)) for tail in tails] + [Request("local", "tiny", prompt=HEAD + t, max_tokens=2) for t in tails]
    at_once = local.answer(requests)
    widths: list[int] = []
    forward = local.prefixes.forward
    monkeypatch.setattr(local.prefixes, "forward", lambda ids, *rest: (widths.append(len(ids)), forward(ids, *rest))[1])
    monkeypatch.setattr("neurogloss.subject.device.memory_mb", lambda: 0)
    apart = local.answer(requests)
    assert set(widths) == {1}
    for a, b in zip(at_once, apart, strict=True):
        assert isinstance(a, Reply)
        assert isinstance(b, Reply)
        assert a.text == b.text
        for one, other in zip(a.tokens, b.tokens, strict=True):
            assert one.alternatives == pytest.approx(other.alternatives, abs=1e-4)


def test_where_memory_runs_out_batches_become_smaller_and_answers_are_the_same(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [echo(HEAD + tail, len(HEAD)) for tail in TAILS] + [Request("local", "tiny", prompt=HEAD + t, max_tokens=5) for t in TAILS]
    at_once = local.answer(requests)
    real, most = Prefixes.forward, 1

    def forward(prefixes: Prefixes, ids: torch.Tensor, *rest: Any) -> Any:
        if len(ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(prefixes, ids, *rest)

    monkeypatch.setattr(Prefixes, "forward", forward)
    for one, other in zip(local.answer(requests), at_once, strict=True):
        assert isinstance(one, Reply)
        assert isinstance(other, Reply)
        assert one.text == other.text
        assert [token.token for token in one.tokens] == [token.token for token in other.tokens]
    most = 0
    with pytest.raises(UserError, match="cpu has no memory for an answer; end what else uses it, or name a smaller model under models"):
        local.answer(requests)


def test_a_token_that_holds_more_than_the_echoed_text_is_read_without_what_is_before(parts: tuple[Any, Any]) -> None:
    local = Local(*parts, context=512)
    text = "the cat and the dog"  # "the" within " the" is one token with its blank
    (found,) = local.answer([echo(text, 5, text="the")])
    assert isinstance(found, Reply)
    ids, spans = local.words.spell(text)
    (spot,) = [token for token, (start, end) in enumerate(spans) if start <= text.index("the", 5) < end]
    assert spans[spot][0] == text.index(" the", 5)
    expected = reference(parts, ids, spot)
    texts = [parts[1].decode([i]) for i in range(len(expected))]
    assert found.tokens[0].token == "the"
    assert found.tokens[0].alternatives
    for piece, value in found.tokens[0].alternatives.items():
        assert value == pytest.approx(np.logaddexp.reduce([expected[i] for i, t in enumerate(texts) if t == " " + piece]), abs=1e-4)


def test_an_echo_at_the_very_first_token_has_no_alternatives(local: Local) -> None:
    (found,) = local.answer([echo("unknown\tunknown\n")])
    assert isinstance(found, Reply)
    assert found.tokens[0].alternatives == {}
    assert found.tokens[1].alternatives


PROMPTS = ["the cat sat", "the dog ran to the river under", "ten birds", "the cat sang of snow and rain while the"]


def greedy(parts: tuple[Any, Any], ids: list[int], tokens: int) -> str:
    """Greedy decoding without a cache."""
    start = len(ids)
    with torch.no_grad():
        for _ in range(tokens):
            ids = [*ids, int(parts[0](torch.tensor([ids])).logits[0, -1].argmax())]
            if ids[-1] == parts[1].eos_token_id:
                ids.pop()
                break
    return str(parts[1].decode(ids[start:], skip_special_tokens=True))


def test_greedy_answers_equal_plain_decoding_without_cache_or_batch(parts: tuple[Any, Any], local: Local) -> None:
    answers = local.answer([Request("local", "tiny", prompt=prompt, max_tokens=12) for prompt in PROMPTS])
    assert [a.text for a in answers if isinstance(a, Reply)] == [greedy(parts, parts[1](p)["input_ids"], 12) for p in PROMPTS]


def test_equal_requests_have_equal_answers_whatever_is_asked_beside_them(local: Local) -> None:
    def sample(prompt: str, number: int) -> Request:
        return Request("local", "tiny", prompt=prompt, max_tokens=10, temperature=1.0, sample=number)

    asked = [sample(prompt, number) for prompt in PROMPTS for number in range(3)]
    together = [a.text for a in local.answer(asked) if isinstance(a, Reply)]
    alone = [a.text for request in reversed(asked) for a in local.answer([request]) if isinstance(a, Reply)]
    assert together == alone[::-1]
    assert len(set(together)) > len(PROMPTS)


def test_sampling_follows_the_probabilities(parts: tuple[Any, Any], local: Local) -> None:
    ids = parts[1](PROMPTS[0])["input_ids"]
    expected = np.exp(reference(parts, [*ids, 0], len(ids)))
    first = [local.words.ids(Request("local", "tiny", prompt=PROMPTS[0]))]
    assert first == [ids]
    asked = [Request("local", "tiny", prompt=PROMPTS[0], max_tokens=1, temperature=1.0, sample=i, top_logprobs=1) for i in range(600)]
    texts = [a.text for a in local.answer(asked) if isinstance(a, Reply)]
    likeliest = int(expected.argmax())
    share = sum(text == parts[1].decode([likeliest]) for text in texts) / len(texts)
    assert share == pytest.approx(expected[likeliest], abs=0.08)


def test_an_answer_ends_at_its_end_token_its_stop_text_or_its_limit(parts: tuple[Any, Any]) -> None:
    local = Local(*parts, context=512)
    whole = local.answer([Request("local", "tiny", prompt=PROMPTS[0], max_tokens=12)])[0]
    assert isinstance(whole, Reply)
    assert whole.finish_reason == "length"
    assert whole.usage.completion == 12
    stop = whole.text[3:5]
    cut = local.answer([Request("local", "tiny", prompt=PROMPTS[0], max_tokens=12, stop=(stop,))])[0]
    assert isinstance(cut, Reply)
    assert (cut.text, cut.finish_reason) == (whole.text[: whole.text.index(stop)], "stop")
    local.ends = frozenset(local.words.ids(Request("local", "tiny", prompt=whole.text)))
    ended = local.answer([Request("local", "tiny", prompt=PROMPTS[0], max_tokens=12)])[0]
    assert isinstance(ended, Reply)
    assert ended.finish_reason == "stop"
    assert ended.usage.completion < 12


def test_each_generated_token_comes_with_its_alternatives(parts: tuple[Any, Any], local: Local) -> None:
    (found,) = local.answer([Request("local", "tiny", prompt=PROMPTS[1], max_tokens=4, top_logprobs=3)])
    assert isinstance(found, Reply)
    assert len(found.tokens) == 4
    assert "".join(token.token for token in found.tokens) == found.text
    assert all(1 <= len(token.alternatives) <= 3 for token in found.tokens)
    ids = parts[1](PROMPTS[1])["input_ids"]
    best = np.sort(reference(parts, [*ids, 0], len(ids)))[-3:]
    assert np.exp(list(found.tokens[0].alternatives.values())).sum() == pytest.approx(np.exp(best).sum(), abs=1e-4)


def test_the_thoughts_of_a_model_that_thinks_first_are_no_part_of_its_answer(local: Local) -> None:
    question = Question(
        Request("local", "tiny", prompt="the cat", max_tokens=99), local.words.ids(Request("local", "tiny", prompt="the cat"))
    )
    for said, text in (("<think>hm</think> fruit", "fruit"), ("<think>hm, fr", ""), ("fruit", "fruit")):
        question.text, question.finish_reason = said, "stop"
        assert question.reply(local.words, 0).text == text


@pytest.mark.parametrize("template", [None, TEMPLATE, NO_SYSTEM])
def test_turns_go_through_the_chat_template_where_there_is_one(template: str | None, tiny_model: Path) -> None:
    model, tokenizer = loaded(tiny_model)
    tokenizer.chat_template = template
    local = Local(model, tokenizer, 512)
    turns = (Message("system", "be brief"), Message("user", "the </s> cat<s>"), Message("assistant", "sat"), Message("user", "why"))
    text = tokenizer.decode(local.words.ids(Request("local", "tiny", messages=turns)))
    if template is None:
        assert text == "be brief\n\nthe </s> cat<s>\nsat\n\nwhy\n"
        assert tokenizer.eos_token_id not in local.words.ids(Request("local", "tiny", messages=turns))
    elif template == TEMPLATE:
        assert text == "<s>system: be brief</s><s>user: the < /s> cat< s></s><s>assistant: sat</s><s>user: why</s><s>assistant: "
    else:
        assert text == "<s>user: be brief\n\nthe < /s> cat< s></s><s>assistant: sat</s><s>user: why</s><s>assistant: "


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('roles must alternate') }}", "{% if %}", "{{ x.y.z }}", "{{ 1 / 0 }}", {"rag": "", "b": ""}]
)
def test_a_chat_template_that_raises_is_one_line(template: Any, tiny_model: Path) -> None:
    model, tokenizer = loaded(tiny_model)
    tokenizer.chat_template = template
    asked = Request("local", "tiny", messages=(Message("system", "be brief"), Message("user", "why")), max_tokens=3)
    with pytest.raises(UserError, match=r"the chat template of .* fails \(\w+: .*\); mend its chat_template, or name another") as raised:
        Local(model, tokenizer, 512).answer([asked])
    assert "\n" not in str(raised.value)


def test_a_special_token_written_out_in_a_prompt_is_text(parts: tuple[Any, Any], local: Local) -> None:
    ids, spans = local.words.spell("the</s><s>\tunknown")
    assert parts[1].eos_token_id not in ids
    assert parts[1].bos_token_id not in ids
    assert spans[-1][1] == len("the</s><s>\tunknown")


def test_a_folder_named_in_the_params_is_loaded_and_counts_as_it_reads(tiny_model: Path) -> None:
    params = load_params(Path(__file__).parent.parent.parent / "params.yaml").model("smollm2", "")
    params = params.model_copy(update={"name": str(tiny_model), "sha256": None, "context": 64})
    opened = open_local(params)
    assert opened.context == 64
    (found,) = opened.answer([Request("local", "tiny", prompt="the cat", max_tokens=3)])
    assert isinstance(found, Reply)
    assert (
        count_tokens(params)("the cat")
        == len(opened.words.ids(Request("local", "tiny", prompt="the cat")))
        == counter(params).count("the cat")
    )


def test_what_is_no_causal_model_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    params = load_params(Path(__file__).parent.parent.parent / "params.yaml").model("smollm2", "")
    for name, reason in ((str(tmp_path / "none"), "does not exist"), (str(tmp_path), "no .safetensors")):
        for opening in (open_local, count_tokens):
            with pytest.raises(UserError, match=reason):
                opening(params.model_copy(update={"name": name, "sha256": None}))


def test_a_prompt_longer_than_the_context_is_a_status_and_the_others_are_answered(local: Local) -> None:
    long = Request("local", "tiny", prompt="the cat " * 300, max_tokens=5)
    good = Request("local", "tiny", prompt="the cat", max_tokens=5)
    first, second, third = local.answer([good, long, echo("the cat " * 300 + "\tunknown")])
    assert isinstance(first, Reply)
    assert isinstance(second, ProviderError)
    assert second.status == Status.TOO_LONG
    assert isinstance(third, ProviderError)


@pytest.mark.parametrize(
    "hostile", ["\u2028\tunknown\n", "😀\tunknown\n", "\\xf0\tunknown\n", "{}\tunknown\n", "漢字\tunknown\n", " \tunknown\n"]
)
def test_positions_are_found_whatever_stands_before_them(hostile: str, parts: tuple[Any, Any], local: Local) -> None:
    prompt = "é😀" + HEAD + hostile
    (found,) = local.answer([echo(prompt, len(prompt) - len(hostile))])
    assert isinstance(found, Reply)
    (token,) = found.tokens
    assert "unknown".startswith(token.token)
    ids, _ = local.words.spell(prompt)
    rest = len(local.words.spell("unknown\n").ids)
    expected = reference(parts, ids, len(ids) - rest)
    assert token.alternatives[token.token] == pytest.approx(expected[ids[-rest]], abs=1e-4)
