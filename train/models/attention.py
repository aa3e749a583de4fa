"""Multi-head attention on torch's fused kernels, within one set of tokens and across two."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from train.models.positions import Rotation, rotate


class Attention(nn.Module):
    """Self-attention: tokens [B, N, D] -> [B, N, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        """``rotation``: of the tokens' positions, where the network uses RoPE."""
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        return _attend(self, query, key, value, rotation, rotation)


class CrossAttention(nn.Module):
    """Tokens [B, N, D] ask a memory [B, M, D] -> [B, N, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projq = nn.Linear(width, width)
        self.projk = nn.Linear(width, width)
        self.projv = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(
        self,
        tokens: Tensor,
        memory: Tensor,
        rotation: Rotation | None = None,
        memory_rotation: Rotation | None = None,
    ) -> Tensor:
        """The rotations: of the tokens' and of the memory's positions (RoPE)."""
        query, key, value = self.projq(tokens), self.projk(memory), self.projv(memory)
        return _attend(self, query, key, value, rotation, memory_rotation)


def _attend(
    layer: Attention | CrossAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_rotation: Rotation | None,
    key_rotation: Rotation | None,
) -> Tensor:
    query, key, value = (_split(part, layer.heads) for part in (query, key, value))
    if query_rotation is not None and key_rotation is not None:
        query, key = rotate(query, query_rotation), rotate(key, key_rotation)
    mixed = scaled_dot_product_attention(query, key, value)
    out: Tensor = layer.proj(mixed.transpose(1, 2).flatten(2))
    return out


def _split(tokens: Tensor, heads: int) -> Tensor:
    """[B, N, D] -> [B, heads, N, D / heads]."""
    batch, count, width = tokens.shape
    return tokens.reshape(batch, count, heads, width // heads).transpose(1, 2)
