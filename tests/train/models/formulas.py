"""The networks once more, from the papers' formulas: NumPy, float64, one token at a time.

Written for reading, not for speed; weights are looked up by the names in CroCo's checkpoints.
"""

from __future__ import annotations

import math

import numpy as np


class Formulas:
    """A network's weights, and the sums that they stand for."""

    def __init__(self, net):
        self.w = {name: value.double().numpy() for name, value in net.state_dict().items()}
        self.encoder, self.decoder = net.config.encoder, net.config.decoder

    def linear(self, name, x):
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def norm(self, name, x):
        out = []
        for row in x:
            mean = sum(row) / len(row)
            variance = sum((row - mean) ** 2) / len(row)
            out.append((row - mean) / math.sqrt(variance + 1e-6))
        return np.array(out) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def mlp(self, name, x):
        hidden = self.linear(f"{name}.fc1", x)
        gelu = np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))
        return self.linear(f"{name}.fc2", gelu(hidden))

    def attend(self, q, k, v, heads, q_at, k_at):
        width = q.shape[1] // heads
        out = np.zeros_like(q)
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            for i in range(len(q)):
                query = self.turned(q[i, part], q_at[i])
                scores = np.array(
                    [query @ self.turned(k[j, part], k_at[j]) for j in range(len(k))]
                ) / math.sqrt(width)
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                out[i, part] = sum(weight * v[j, part] for j, weight in enumerate(weights))
        return out

    def turned(self, channels, at):
        """RoPE2D: first half by y, second by x; channel i of a half goes with i + a quarter."""
        if self.encoder.positions == "cosine":
            return channels
        half = len(channels) // 2
        out = np.zeros_like(channels)
        for axis in (0, 1):
            for i in range(half // 2):
                angle = at[axis] / self.encoder.rope_base ** (2 * i / half)
                first, second = axis * half + i, axis * half + i + half // 2
                a, b = channels[first], channels[second]
                out[first] = a * math.cos(angle) - b * math.sin(angle)
                out[second] = b * math.cos(angle) + a * math.sin(angle)
        return out

    def self_attention(self, name, x, heads, at):
        q, k, v = np.split(self.linear(f"{name}.qkv", x), 3, axis=1)
        return self.linear(f"{name}.proj", self.attend(q, k, v, heads, at, at))

    def cross_attention(self, name, x, y, heads, x_at, y_at):
        q, k, v = (
            self.linear(f"{name}.proj{part}", tokens)
            for part, tokens in (("q", x), ("k", y), ("v", y))
        )
        return self.linear(f"{name}.proj", self.attend(q, k, v, heads, x_at, y_at))

    def block(self, name, x, heads, at):
        x = x + self.self_attention(f"{name}.attn", self.norm(f"{name}.norm1", x), heads, at)
        return x + self.mlp(f"{name}.mlp", self.norm(f"{name}.norm2", x))

    def cross_block(self, name, x, y, heads, x_at, y_at):
        x = x + self.self_attention(f"{name}.attn", self.norm(f"{name}.norm1", x), heads, x_at)
        seen = self.norm(f"{name}.norm_y", y)
        query = self.norm(f"{name}.norm2", x)
        x = x + self.cross_attention(f"{name}.cross_attn", query, seen, heads, x_at, y_at)
        return x + self.mlp(f"{name}.mlp", self.norm(f"{name}.norm3", x))

    def places(self):
        rows, cols = self.encoder.grid
        return [(row, col) for row in range(rows) for col in range(cols)]

    def cosine(self, at, width):
        y, x = at
        frequencies = [10000 ** -(i / (width / 4)) for i in range(width // 4)]
        parts = (
            [math.sin(x * f) for f in frequencies],
            [math.cos(x * f) for f in frequencies],
            [math.sin(y * f) for f in frequencies],
            [math.cos(y * f) for f in frequencies],
        )
        return np.concatenate(parts)

    def encode(self, image, kept):
        size = self.encoder.patch
        kernel, bias = self.w["patch_embed.proj.weight"], self.w["patch_embed.proj.bias"]
        tokens, at = [], []
        for number in kept:
            row, col = self.places()[number]
            patch = image[:, row * size : (row + 1) * size, col * size : (col + 1) * size]
            token = (kernel * patch).sum((1, 2, 3)) + bias
            if self.encoder.positions == "cosine":
                token = token + self.cosine((row, col), self.encoder.width)
            tokens.append(token)
            at.append((row, col))
        if self.encoder.class_token:
            tokens.insert(0, self.w["cls_token"][0, 0])
            at.insert(0, None)
        x = np.array(tokens)
        for i in range(self.encoder.depth):
            x = self.block(f"enc_blocks.{i}", x, self.encoder.heads, at)
        return self.norm("enc_norm", x)

    def decoder_input(self, tokens, kept):
        """Embedded, the mask token where nothing was seen, positions added."""
        tokens = list(self.linear("decoder_embed", tokens))
        out = [tokens.pop(0)] if self.encoder.class_token else []
        for number, at in enumerate(self.places()):
            there = list(kept).index(number) if number in kept else None
            token = self.w["mask_token"][0, 0] if there is None else tokens[there]
            if self.encoder.positions == "cosine":
                token = token + self.cosine(at, self.decoder.width)
            out.append(token)
        return np.array(out)

    def head(self, name, x):
        return self.linear(name, self.norm("dec_norm", x)[int(self.encoder.class_token) :])

    def at(self):
        return ([None] if self.encoder.class_token else []) + self.places()

    def blocks(self):
        return [f"dec_blocks.{i}" for i in range(self.decoder.depth)]

    def masked_autoencoder(self, image, kept):
        x = self.decoder_input(self.encode(image, kept), kept)
        for name in self.blocks():
            x = self.block(name, x, self.decoder.heads, self.at())
        return self.head("prediction_head", x)

    def completion(self, images, kept):
        everything = range(len(self.places()))
        x = self.decoder_input(self.encode(images[0], kept), kept)
        y = self.decoder_input(self.encode(images[1], everything), everything)
        if "view_embed" not in self.w:
            for name in self.blocks():
                x = self.cross_block(name, x, y, self.decoder.heads, self.at(), self.at())
            return self.head("prediction_head", x)
        both = np.concatenate([x + self.w["view_embed"][0], y + self.w["view_embed"][1]])
        for name in self.blocks():
            both = self.block(name, both, self.decoder.heads, self.at() * 2)
        return self.head("prediction_head", both[: len(x)])

    def segmentation(self, images, classes):
        everything = range(len(self.places()))
        tokens = [
            self.decoder_input(self.encode(image, everything), everything) for image in images
        ]
        size, (rows, cols) = self.encoder.patch, self.encoder.grid
        out = np.zeros((2, classes, rows * size, cols * size))
        for view in (0, 1):
            x = tokens[view]
            for name in self.blocks():
                x = self.cross_block(
                    name, x, tokens[1 - view], self.decoder.heads, self.at(), self.at()
                )
            values = self.head("segmentation_head", x)
            for number, (row, col) in enumerate(self.places()):
                patch = values[number].reshape(size, size, classes)
                for p in range(size):
                    for q in range(size):
                        out[view, :, row * size + p, col * size + q] = patch[p, q]
        return out
