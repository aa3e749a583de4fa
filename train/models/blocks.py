"""Pre-norm transformer blocks: of one view (ViT), and of one that looks at another (CroCo)."""

from __future__ import annotations

from torch import Tensor, nn

from train.models.attention import Attention, CrossAttention
from train.models.positions import Rotation

NORM_EPS = 1e-6
"""Of every LayerNorm (MAE, CroCo, timm's ViT); torch's own default is 1e-5."""


class Mlp(nn.Module):
    """Linear, GELU, Linear on each token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        out: Tensor = self.fc2(self.act(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """Self-attention and MLP: the block of a ViT, of MAE's decoder and of CroCo's CatBlock."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = Attention(width, heads)
        self.norm2 = layer_norm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        tokens = tokens + self.attn(self.norm1(tokens), rotation)
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class CrossBlock(nn.Module):
    """Self-attention, attention to the other view, MLP (CroCo, appendix B).

    The memory is the other view's encoding, the same for every block; each has its own ``norm_y``.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = Attention(width, heads)
        self.cross_attn = CrossAttention(width, heads)
        self.norm2 = layer_norm(width)
        self.norm3 = layer_norm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.norm_y = layer_norm(width)

    def forward(
        self,
        tokens: Tensor,
        memory: Tensor,
        rotation: Rotation | None = None,
        memory_rotation: Rotation | None = None,
    ) -> Tensor:
        """Tokens [B, N, D] and the other view's [B, M, D] -> [B, N, D]."""
        tokens = tokens + self.attn(self.norm1(tokens), rotation)
        seen = self.cross_attn(self.norm2(tokens), self.norm_y(memory), rotation, memory_rotation)
        tokens = tokens + seen
        out: Tensor = tokens + self.mlp(self.norm3(tokens))
        return out


def layer_norm(width: int) -> nn.LayerNorm:
    """LayerNorm as the papers have it."""
    return nn.LayerNorm(width, eps=NORM_EPS)
