"""How services refuse a parameter, a prompt, a key or a model, in their own words, with where each was seen.

`about` is what is wrong with the request: a parameter that the service does not take, `NAME>N` where it takes no more than N of it,
`temperature=0` where it takes any but 0, `system` for the role, or one of OUTCOMES, which nothing else in the request mends.
"""

import json
from typing import Any, NamedTuple

OUTCOMES = ("too_long", "refused", "key", "model")


class Wording(NamedTuple):
    """One refusal."""

    service: str
    about: str
    status: int
    body: Any
    seen: str
    """Issue or pull request on GitHub, or a page."""

    @property
    def text(self) -> str:
        return self.body if isinstance(self.body, str) else json.dumps(self.body)


def said(message: Any, param: str | None = None, code: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code} | more}


def forbidden(*loc: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ["body", *loc], "msg": "Extra inputs are not permitted", "input": 32000}


UNSUPPORTED, VALUE = "unsupported_parameter", "unsupported_value"
ONLY_DEFAULT = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."
NO_SYSTEM = "Unsupported value: 'messages[0].role' does not support 'system' with this model."
RENAMED = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
NO_STOP = "Unsupported parameter: 'stop' is not supported with this model."
NO_SCHEMA = (
    "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. Learn more about supported models at"
)
CONTEXT = (
    "This model's maximum context length is 4096 tokens. However, you requested 4118 tokens (3118 in the messages, 1000 in the completion)."
)
TPM = "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 61337. The input or output"
OVERFLOW = (
    "Trying to keep the first 10136 tokens when context the overflows. However, the model is loaded with context length of only 7866 tokens"
)
XAI = "Client specified an invalid argument"
DASHSCOPE = "<400> InternalError.Algo.InvalidParameter: "
TGI = "Input validation error: "

WORDINGS = (
    Wording("OpenAI", "temperature", 400, said(ONLY_DEFAULT, "temperature", VALUE), "QwenLM/qwen-code#921"),
    Wording(
        "OpenAI",
        "temperature",
        400,
        said("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", UNSUPPORTED),
        "BeehiveInnovations/pal-mcp-server#78",
    ),
    Wording("OpenAI", "max_tokens", 400, said(RENAMED, "max_tokens", UNSUPPORTED), "griptape-ai/ComfyUI-Griptape#312"),
    Wording(
        "OpenAI",
        "max_tokens>16384",
        400,
        said(
            "max_tokens is too large: 20480. This model supports at most 16384 completion tokens, whereas you provided 20480.", "max_tokens"
        ),
        "tailcallhq/forgecode#1185",
    ),
    Wording("OpenAI", "stop", 400, said(NO_STOP, "stop", UNSUPPORTED), "kd-research/Techies#42"),
    Wording("OpenAI", "system", 400, said(NO_SYSTEM, "messages[0].role", VALUE), "janhq/jan#4392"),
    Wording("OpenAI", "response_format", 400, said(NO_SCHEMA), "langchain-ai/langchain#31490"),
    Wording("OpenAI", "logprobs", 403, said("You are not allowed to request logprobs from this model"), "confident-ai/deepeval#2184"),
    Wording("OpenAI", "logprobs", 400, said("Unrecognized request argument supplied: logprobs"), "openai/openai-python#433"),
    Wording(
        "OpenAI",
        "seed",
        400,
        said("Unrecognized request argument supplied: seed"),
        "openai/openai-python#433, the same of another argument",
    ),
    Wording("OpenAI", "too_long", 400, said(CONTEXT, "messages", "context_length_exceeded"), "Chanzhaoyu/chatgpt-web#372"),
    Wording("OpenAI", "too_long", 429, said(TPM, None, "rate_limit_exceeded"), "continuedev/continue#10602"),
    Wording("Azure", "temperature", 400, said(ONLY_DEFAULT.replace("0 with", "0.1 with"), "temperature", VALUE), "microsoft/vscode#253673"),
    Wording("Azure", "max_tokens", 400, said(RENAMED), "anomalyco/opencode#37964"),
    Wording("Azure", "system", 400, said(NO_SYSTEM, "messages[0].role", VALUE), "OpenHands/OpenHands#6285"),
    Wording(
        "Azure",
        "response_format",
        400,
        said("response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later", code="BadRequest"),
        "Azure/azure-sdk-for-net#46579",
    ),
    Wording("Anthropic", "temperature", 400, said("`temperature` is deprecated for this model."), "The-PR-Agent/pr-agent#2456"),
    Wording(
        "Anthropic",
        "temperature",
        400,
        said("`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our documentation"),
        "mnfst/modelparams.dev#214",
    ),
    Wording(
        "Anthropic",
        "top_p",
        400,
        said("`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        "anomalyco/opencode#1644",
    ),
    Wording(
        "Anthropic",
        "max_tokens>4096",
        400,
        said("max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for claude-3-haiku-20240307"),
        "continuedev/continue#4225",
    ),
    Wording(
        "Anthropic",
        "too_long",
        400,
        said("input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000,"),
        "continuedev/continue#6080",
    ),
    Wording(
        "Gemini",
        "system",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "Developer instruction is not enabled for models/gemma-3-27b-it",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        "microsoft/vscode#258088",
    ),
    Wording(
        "Gemini",
        "logprobs",
        400,
        [{"error": {"code": 400, "message": "Logprobs is not enabled for models/gemini-2.5-pro", "status": "INVALID_ARGUMENT"}}],
        "mscraftsman/generative-ai#135",
    ),
    Wording(
        "Gemini",
        "logprobs",
        400,
        said("Unable to submit request because Logprobs is not supported for this model."),
        "GoogleCloudPlatform/generative-ai#2947",
    ),
    Wording(
        "Gemini",
        "logprobs",
        400,
        said('Invalid JSON payload received. Unknown name "logprobs": Cannot find field.'),
        "RUC-NLPIR/Arbor#49",
    ),
    Wording(
        "Gemini",
        "response_format",
        400,
        said("Json mode is not enabled for models/gemini-pro"),
        "google-gemini/deprecated-generative-ai-python#137",
    ),
    Wording(
        "Gemini",
        "response_format",
        400,
        said('Invalid JSON payload received. Unknown name "response_format": Cannot find field.'),
        "crmne/ruby_llm#730",
    ),
    Wording(
        "Gemini",
        "too_long",
        400,
        said("The input token count (2845475) exceeds the maximum number of tokens allowed (1048576)."),
        "google-gemini/gemini-cli#4692",
    ),
    Wording("Gemini", "key", 400, said("API key not valid. Please pass a valid API key.", code=400), "continuedev/continue#10530"),
    Wording(
        "transformers serve",
        "model",
        400,
        {"detail": "Server is pinned to '/models/smollm2'; requested 'smollm2'."},
        "transformers 5.23, cli/serving/utils.py",
    ),
    Wording("transformers serve", "seed", 422, {"detail": "Unexpected fields in the request: {'seed'}"}, "transformers 5.23"),
    Wording("xAI", "stop", 400, {"code": XAI, "error": "Argument not supported on this model: stop"}, "BerriAI/litellm#11563"),
    Wording(
        "xAI",
        "stop",
        400,
        {"code": "invalid-argument", "error": "Model grok-4.6 does not support parameter stop."},
        "lidge-jun/opencodex#5278",
    ),
    Wording(
        "xAI",
        "too_long",
        400,
        {"code": XAI, "error": "This model's maximum prompt length is 131072 but the request contains 136973 tokens."},
        "cline/cline#3120",
    ),
    Wording(
        "xAI",
        "key",
        400,
        {
            "code": XAI,
            "error": "Incorrect%20API%20key%20provided:%20ba***na.%20You%20can%20obtain%20an%20API%20key%20from%20https://x",
        },
        "i-am-bee/beeai-framework#447",
    ),
    Wording(
        "Mistral",
        "max_completion_tokens",
        422,
        {"object": "error", "message": {"detail": [forbidden("max_completion_tokens")]}, "type": "invalid_request_error", "code": None},
        "editor-code-assistant/eca#315",
    ),
    Wording("Mistral", "seed", 422, {"detail": [forbidden("seed")]}, "Gitlawb/openclaude#739, the same of another field"),
    Wording("Groq", "logprobs", 400, said("`logprobs` is not supported with this model"), "groq/groq-python#25"),
    Wording(
        "Groq",
        "response_format",
        400,
        said("invalid schema for response format: response_format/json_schema/next_step: minItems is not supported"),
        "i-am-bee/beeai-framework#1215",
    ),
    Wording(
        "Groq",
        "max_tokens>8000",
        400,
        said("max_tokens for `llama-3.1-8b-instant` must be less than or equal to 8000"),
        "skapadia3214/groq-moa#8",
    ),
    Wording("Together", "logprobs>1", 400, said("5 is greater than the maximum of 1 - 'logprobs'", "logprobs"), "stanford-crfm/helm#2325"),
    Wording(
        "Together",
        "too_long",
        422,
        said(f"{TGI}`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2019 `inputs` tokens and 30 `max_new_tokens`"),
        "stanford-crfm/helm#2079",
    ),
    Wording(
        "OpenRouter",
        "response_format",
        404,
        {"error": {"message": "No endpoints found that can handle the requested parameters.", "code": 404}},
        "block/buzz#3018",
    ),
    Wording(
        "OpenRouter",
        "max_tokens",
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": json.dumps(said(RENAMED)), "provider_name": "OpenAI"},
            }
        },
        "reVrost/go-openrouter#21, with OpenAI's message",
    ),
    Wording("DeepSeek", "response_format", 400, said("This response_format type is unavailable now"), "bytedance/deer-flow#545"),
    Wording("DeepSeek", "response_format", 400, said("deepseek-reasoner does not support Json Output."), "gomate-community/TrustRAG#140"),
    Wording(
        "DeepSeek",
        "response_format",
        422,
        said("Failed to deserialize the JSON body into the target type: response_format.type `json_schema` is unavailable now"),
        "dzhng/deep-research#22",
    ),
    Wording(
        "DeepSeek",
        "max_tokens>8192",
        400,
        said("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
        "deepseek-ai/DeepSeek-V3#69",
    ),
    Wording("DeepSeek", "too_long", 400, said(CONTEXT), "evalstate/fast-agent#621"),
    Wording("Moonshot", "temperature", 400, said("invalid temperature: only 1 is allowed for this model"), "countbot-ai/CountBot#61"),
    Wording("Moonshot", "temperature", 400, said("invalid temperature: only 0.6 is allowed for this model"), "HKUDS/nanobot#4962"),
    Wording("Zhipu", "temperature=0", 400, said("temperature参数非法。请检查文档。", code="1214"), "songquanpeng/one-api#1141"),
    Wording("Zhipu", "top_p", 400, said("top_p参数非法。请检查文档。", code="1214"), "QuantumNous/new-api#124"),
    Wording("Zhipu", "temperature=0", 400, said("API 调用参数有误\uff0c请检查文档。", code="1210"), "CherryHQ/cherry-studio#4142"),
    Wording(
        "DashScope", "max_tokens>8192", 400, said(f"{DASHSCOPE}Range of max_tokens should be [1, 8192]"), "open-webui/open-webui#10507"
    ),
    Wording("DashScope", "too_long", 400, said(f"{DASHSCOPE}Range of input length should be [1, 204800]"), "QwenLM/qwen-code#98"),
    Wording(
        "DashScope",
        "thinking",
        400,
        said("parameter.enable_thinking must be set to false for non-streaming calls", code="invalid_parameter_error"),
        "OpenBMB/UltraRAG#287",
    ),
    Wording(
        "Ark",
        "response_format",
        400,
        said(
            "The parameter `response_format.type` specified in the request are not valid: invalid value: `json_schema`, supported values"
            " are: `json_object` and `text`.",
            "response_format.type",
        ),
        "agno-agi/agno#2553",
    ),
    Wording(
        "vLLM",
        "system",
        400,
        {"object": "error", "message": "System role not supported", "type": "BadRequestError", "param": None, "code": 400},
        "vllm-project/vllm#2964",
    ),
    Wording(
        "vLLM",
        "max_completion_tokens",
        400,
        {
            "object": "error",
            "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted'}]",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        "voideditor/void#128",
    ),
    Wording(
        "vLLM",
        "logprobs>5",
        400,
        {"object": "error", "message": "Requested sample logprobs of 20, which is greater than max allowed: 5", "code": 400},
        "vllm-project/vllm, v1/engine/processor.py",
    ),
    Wording(
        "vLLM",
        "too_long",
        400,
        {"object": "error", "message": "The decoder prompt (length 10127) is longer than the maximum model length of 8192.", "code": 400},
        "Gabesarch/grounded-rl#16",
    ),
    Wording(
        "vLLM",
        "too_long",
        400,
        said(
            "'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum context length is 64001 tokens and your"
            " request has 24235 input tokens (64000 > 64001 - 24235). None"
        ),
        "claude-code-best/claude-code#272",
    ),
    Wording(
        "SGLang",
        "too_long",
        400,
        {"object": "error", "message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).", "code": 400},
        "sgl-project/sglang#4048",
    ),
    Wording(
        "SGLang",
        "too_long",
        400,
        {"object": "error", "message": "The input (61709 tokens) is longer than the model's context length (40960 tokens).", "code": 400},
        "QwenLM/Qwen3#1321",
    ),
    Wording("SGLang", "system", 500, said("System role not supported"), "sgl-project/sglang#892"),
    Wording(
        "TGI",
        "temperature=0",
        422,
        {"error": f"{TGI}`temperature` must be strictly positive", "error_type": "validation"},
        "vibrantlabsai/ragas#264",
    ),
    Wording(
        "TGI",
        "max_tokens>192",
        422,
        {"error": f"{TGI}`max_new_tokens` must be <= 192. Given: 200", "error_type": "validation"},
        "huggingface/transformers#28523",
    ),
    Wording(
        "TGI",
        "too_long",
        422,
        {"error": f"{TGI}`inputs` must have less than 4096 tokens. Given: 4545", "error_type": "validation"},
        "meta-llama/llama#1103",
    ),
    Wording(
        "TGI",
        "system",
        422,
        {
            "error": "Template error: syntax error: Conversation roles must alternate user/assistant/user/assistant/... (in <string?:1)",
            "error_type": "template_error",
        },
        "run-llama/llama_index#12554",
    ),
    Wording(
        "GigaChat",
        "temperature=0",
        422,
        {"status": 422, "message": "Invalid params: temperature must be in range (0, +inf)"},
        "ai-forever/gigachain#237",
    ),
    Wording(
        "llama.cpp",
        "too_long",
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size. try increasing the context size or enable context shift",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 1407,
                "n_ctx": 256,
            }
        },
        "oobabooga/textgen#7257",
    ),
    Wording(
        "llama.cpp",
        "too_long",
        500,
        said("the request exceeds the available context size. try increasing the context size or enable context shift", code=500),
        "ggml-org/llama.cpp#15780",
    ),
    Wording(
        "llama.cpp",
        "system",
        500,
        {"error": {"code": 500, "message": "Conversation roles must alternate user/assistant/user/assistant/... at row 19, column 27:"}},
        "janhq/jan#6254",
    ),
    Wording(
        "llama.cpp",
        "system",
        500,
        {"error": {"code": 500, "message": "Only user, assistant and tool roles are supported, got system.", "type": "server_error"}},
        "anomalyco/opencode#5034",
    ),
    Wording("Ollama", "too_long", 500, {"error": "the input length exceeds the context length"}, "ollama/ollama, server/routes.go"),
    Wording("Ollama", "model", 404, said('model "gpt-test" not found, try pulling it first', code=None), "ollama/ollama, server/routes.go"),
    Wording("LM Studio", "response_format", 400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}, "LoadShine/tada#16"),
    Wording("LM Studio", "too_long", 400, {"error": f"{OVERFLOW}, which is not enough. Try to load the model with"}, "cline/cline#3664"),
    Wording(
        "LM Studio",
        "too_long",
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx:"
            " 4096). Try to load the model with a larger context length, or provide a shorter input."
        },
        "Gitlawb/openclaude#353",
    ),
    Wording(
        "LM Studio",
        "system",
        400,
        {"error": 'Error rendering prompt with jinja template: "Only user and assistant roles are supported!".'},
        "lmstudio-ai/lmstudio-bug-tracker#1054",
    ),
    Wording(
        "LiteLLM",
        "temperature",
        400,
        said(
            "litellm.UnsupportedParamsError: gpt-5-nano doesn't support temperature=0.1 while reasoning is active. Only temperature=1 is"
            " supported unless reasoning_effort resolves to 'none'. To drop unsupported params set `litellm.drop_params = True`.",
            code="400",
        ),
        "BerriAI/litellm#33738",
    ),
    Wording(
        "LiteLLM",
        "logprobs",
        400,
        said("litellm.UnsupportedParamsError: together_ai does not support parameters: {'logprobs': 1}, for model=x.", code="400"),
        "BerriAI/litellm#6724",
    ),
    Wording(
        "LiteLLM",
        "stop",
        400,
        said(
            f'litellm.BadRequestError: XaiException - {{"code":"{XAI}","error":"Argument not supported on this model: stop"}}.'
            " Received Model Group=xai_grok-4\nAvailable Model Group Fallbacks=None",
            code="400",
        ),
        "BerriAI/litellm#12635",
    ),
    Wording(
        "LiteLLM",
        "top_p",
        400,
        said(
            '{"message":"`temperature` and `top_p` cannot both be specified for this model. Please use only one."}.'
            " \nReceived Model Group=claude-opus-4-5-20251101\nAvailable Model Group Fallbacks=None",
            "None",
            "400",
        ),
        "SalesforceAIResearch/MCP-Universe#49",
    ),
    Wording("LiteLLM", "key", 400, said("No connected db.", "None", "400"), "BerriAI/litellm#2532"),
    Wording(
        "LiteLLM",
        "model",
        400,
        said("/chat/completions: Invalid model name passed in model=gpt-test. Call `/v1/models` to view available models for your key."),
        "BerriAI/litellm#9663",
    ),
    Wording(
        "Bedrock",
        "system",
        400,
        said("This model doesn't support system messages. Try again without a system message or use a model that supports them."),
        "Mintplex-Labs/anything-llm#2486",
    ),
    Wording("Anthropic", "too_long", 400, said("prompt is too long: 213462 tokens > 200000 maximum"), "anthropics/claude-code, many"),
    Wording("Groq", "response_format", 400, said("This model does not support response format `json_schema`."), "ItzCrazyKns/Vane#980"),
    Wording("OpenRouter", "model", 400, said("openrouter/foo is not a valid model ID", code=400), "openrouter.ai/docs, errors"),
    Wording(
        "Moonshot",
        "too_long",
        400,
        said("Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)"),
        "MoonshotAI/kimi-cli, its tests",
    ),
    Wording("Zhipu", "too_long", 400, said("Prompt exceeds max length", code="1261"), "docs.bigmodel.cn, error codes"),
    Wording("Zhipu", "model", 400, said("模型不存在\uff0c请检查模型代码。", code="1211"), "docs.bigmodel.cn, error codes"),
    Wording("MiniMax", "too_long", 400, said("invalid params, context window exceeds limit"), "error patterns of pi and opencode"),
    Wording(
        "Mistral",
        "too_long",
        400,
        {"object": "error", "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", "type": "x"},
        "error patterns of pi and opencode",
    ),
    Wording(
        "TGI",
        "logprobs>5",
        422,
        {"error": f"{TGI}`top_n_tokens` must be >= 0 and <= 5. Given: 256", "error_type": "validation"},
        "huggingface/text-generation-inference, router/src/validation.rs",
    ),
    Wording("Ollama", "too_long", 400, {"error": "prompt too long; exceeded max context length by 912 tokens"}, "error patterns of pi"),
    Wording("DeepSeek", "model", 400, said("Model Not Exist"), "api-docs.deepseek.com, error codes"),
    Wording("Mistral", "model", 400, {"object": "error", "message": "Invalid model: gpt-test", "type": "invalid_model"}, "docs.mistral.ai"),
)
