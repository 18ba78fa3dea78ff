"""Networks: sizes and the residual rule."""

import torch

from models.layers import Hidden, NormalHead


def test_hidden_adds_the_input_only_where_the_width_stays():
    torch.manual_seed(0)
    stack = Hidden(3, 4, 2).eval()
    x = torch.randn(5, 3)
    first = stack.layers[0](x)
    assert torch.equal(stack(x), torch.relu(stack.layers[1](first) + first))


def test_variances_stay_between_the_floor_and_one():
    head = NormalHead(3, 2, floor=1e-4)
    variance = head(1e4 * torch.randn(100, 3)).variance
    assert variance.min() >= 1e-4 * 0.999
    assert variance.max() <= 1
