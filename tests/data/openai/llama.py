"""A language model with random weights, made by gguf and served by llama.cpp: it says nothing, but as models do."""

import sys
import time

import gguf
import numpy as np
import xllamacpp

WIDTH, HEADS, CONTEXT = 64, 4, 4096
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SAID = [" the", " ships", " sail", " harbour", " lights", " sea", *map(chr, range(33, 127)), " "]
TOKENS = ["<unk>", "<s>", "</s>", *BYTES, *(text.replace(" ", "\u2581") for text in SAID)]
KINDS = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, *[gguf.TokenType.BYTE] * len(BYTES)]


def write(path: str) -> None:
    """Write the model: one layer of Llama's."""
    dice = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types([*KINDS, *[gguf.TokenType.NORMAL] * len(SAID)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, dice.standard_normal(shape).astype(np.float32) / 2)

    add("token_embd.weight", len(TOKENS), WIDTH)
    # It says words and letters, hardly ever a part of a letter or that it has ended.
    output = dice.standard_normal((len(TOKENS), WIDTH)).astype(np.float32)
    output[: len(KINDS)] = 0
    writer.add_tensor("output.weight", output)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        add(f"blk.0.{name}.weight", WIDTH, WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(path: str) -> None:
    """Write, serve until killed; say where."""
    write(path)
    settings = xllamacpp.CommonParams()
    settings.model.path = path
    settings.n_ctx = CONTEXT
    settings.n_parallel = 1
    settings.warmup = False
    settings.cpuparams.n_threads = 1
    server = xllamacpp.Server(settings)
    print(f"serving at {server.listening_address}", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1])
