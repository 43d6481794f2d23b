"""Write a GGUF model which recites texts by heart.

**Theory.** Attention and feed-forward weights are zero, so the last token alone decides the next one: the network is
a table from token to token. A text is cut into pieces of two or more bytes of which no two are the same, each a token
of the vocabulary; the output weights point from each piece to the next and from the last to the end-of-turn token.
Embeddings are random signs, nearly orthogonal, so the wanted token's logit is `GAIN` and all others are noise around
nought: at temperature 0 the text comes out byte for byte, whatever the prompt is and without a grammar in the
request. The first piece follows a *cue*: the last byte of the prompt. A template that ends its generation prompt in
different bytes thereby chooses between several texts.

The file is about a megabyte: a byte-level BPE vocabulary (llama.cpp's `gpt2`) and one layer of the llama architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

WIDTH = 256
HEADS = 8
FORWARD = 32
GAIN = 30.0
CONTEXT = 4096
END_OF_TURN = "<|im_end|>"
CONTROL = ("<|endoftext|>", "<|im_start|>", END_OF_TURN)


def write_model(path: Path, texts: Mapping[str, str], template: str) -> None:
    """Write a model for a chat template which says `texts[cue]` after a prompt that ends in the byte `cue`.

    Raises:
        ValueError: a text cannot be cut into pieces, since it repeats itself too much; or a cue is no single byte.
    """
    import gguf
    import numpy as np

    letters = byte_letters()
    tokens = [letters[byte] for byte in range(256)]
    kinds = [gguf.TokenType.NORMAL] * 256
    for name in CONTROL:
        tokens.append(name)
        kinds.append(gguf.TokenType.CONTROL)
    end = tokens.index(END_OF_TURN)

    follows: list[tuple[int, int]] = []
    taken: set[bytes] = set()
    for cue, text in texts.items():
        if len(cue.encode()) != 1:
            raise ValueError(f"a cue is one byte, not {cue!r}")
        last = cue.encode()[0]
        for piece in cut(text.encode(), taken):
            tokens.append("".join(letters[byte] for byte in piece))
            kinds.append(gguf.TokenType.NORMAL)
            follows.append((last, len(tokens) - 1))
            last = len(tokens) - 1
        follows.append((last, end))

    random = np.random.default_rng(0)
    embedding = random.choice(np.array([-1.0, 1.0], np.float32), size=(len(tokens), WIDTH))
    output = np.zeros_like(embedding)
    for token, following in follows:
        output[following] += embedding[token] * (GAIN / WIDTH)
    logits = embedding @ output.T
    if any(int(logits[token].argmax()) != following for token, following in follows):
        raise ValueError("the texts are too long for the width of the model")

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("reciter")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{letters[226]} {letters[128]}"])  # a list is wanted, if not used
    writer.add_bos_token_id(tokens.index(CONTROL[0]))
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)
    ones = np.ones(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", output)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", ones)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((WIDTH, WIDTH), np.float32))
    for name, shape in {
        "ffn_gate": (FORWARD, WIDTH),
        "ffn_up": (FORWARD, WIDTH),
        "ffn_down": (WIDTH, FORWARD),
    }.items():
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def cut(text: bytes, taken: set[bytes]) -> list[bytes]:
    """Cut a text into the shortest pieces of at least two bytes that are not taken yet, and take them.

    Raises:
        ValueError: the end of the text repeats what went before, and so does all before it.
    """
    pieces: list[bytes] = []
    start = 0
    while start < len(text):
        end = start + 2
        while text[start:end] in taken and end < len(text):
            end += 1
        if len(text) - end == 1:
            end += 1
        piece = text[start:end]
        while piece in taken or len(piece) < 2:  # only at the end: join it with the piece before
            if not pieces:
                raise ValueError(f"the text repeats itself too much: {text!r}")
            before = pieces.pop()
            taken.discard(before)
            piece = before + piece
        taken.add(piece)
        pieces.append(piece)
        start = end
    return pieces


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary: itself where it prints, else one from 256 on
    (the GPT-2 tokenizer's table)."""
    printing = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printing]
    return [chr(byte if byte in printing else 256 + others.index(byte)) for byte in range(256)]
