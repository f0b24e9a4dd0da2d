"""
What a submitted graph may be made of: single ops, integer arithmetic, dtypes. Locked.

Single overloads of aten, never all of it: it reaches files (`from_file`) and random numbers. None of these
changes a tensor. `view` and its kin are rebuilt as `reshape`: a view holds for the strides of the kernels
that ran at export, and another device's may differ.
"""

import operator
from collections.abc import Callable

import torch

INT64 = 1 << 63

ALLOWED = frozenset(
    f"aten.{name}"
    for name in """
    add.Tensor add.Scalar sub.Tensor sub.Scalar rsub.Tensor rsub.Scalar mul.Tensor mul.Scalar div.Tensor div.Scalar
    div.Tensor_mode div.Scalar_mode floor_divide.default floor_divide.Scalar remainder.Tensor remainder.Scalar
    fmod.Tensor fmod.Scalar pow.Tensor_Tensor pow.Tensor_Scalar pow.Scalar neg.default abs.default sign.default
    exp.default exp2.default expm1.default log.default log2.default log10.default log1p.default sqrt.default
    rsqrt.default square.default reciprocal.default sin.default cos.default tan.default sinh.default cosh.default
    tanh.default asin.default acos.default atan.default atan2.default erf.default erfc.default floor.default
    ceil.default round.default trunc.default frac.default sigmoid.default logit.default clamp.default clamp.Tensor
    clamp_min.default clamp_min.Tensor clamp_max.default clamp_max.Tensor maximum.default minimum.default
    lerp.Scalar lerp.Tensor addcmul.default addcdiv.default nan_to_num.default logaddexp.default
    relu.default relu6.default leaky_relu.default elu.default selu.default celu.default gelu.default silu.default
    mish.default softplus.default hardtanh.default hardswish.default hardsigmoid.default
    hardshrink.default softshrink.default threshold.default glu.default prelu.default log_sigmoid.default
    eq.Tensor eq.Scalar ne.Tensor ne.Scalar lt.Tensor lt.Scalar le.Tensor le.Scalar gt.Tensor gt.Scalar ge.Tensor
    ge.Scalar logical_and.default logical_or.default logical_not.default logical_xor.default bitwise_and.Tensor
    bitwise_and.Scalar bitwise_or.Tensor bitwise_or.Scalar bitwise_xor.Tensor bitwise_xor.Scalar bitwise_not.default
    bitwise_left_shift.Tensor bitwise_left_shift.Tensor_Scalar bitwise_right_shift.Tensor
    bitwise_right_shift.Tensor_Scalar __and__.Tensor __and__.Scalar __or__.Tensor __or__.Scalar __xor__.Tensor
    __lshift__.Scalar __rshift__.Scalar isnan.default isinf.default isfinite.default
    where.self where.ScalarSelf where.ScalarOther where.Scalar masked_fill.Scalar masked_fill.Tensor
    sum.default sum.dim_IntList mean.default mean.dim amax.default amin.default max.default max.dim max.other
    min.default min.dim min.other argmax.default argmin.default prod.default prod.dim_int var.correction var.dim
    var.default std.correction std.dim norm.ScalarOpt_dim norm.Scalar linalg_vector_norm.default logsumexp.default
    any.default any.dim all.default all.dim cumsum.default cumprod.default cummax.default cummin.default
    logcumsumexp.default sort.default sort.stable argsort.default argsort.stable topk.default
    softmax.int log_softmax.int _softmax.default _log_softmax.default
    mm.default bmm.default matmul.default linear.default addmm.default baddbmm.default mv.default dot.default
    outer.default einsum.default bilinear.default tensordot.default embedding.default one_hot.default
    scaled_dot_product_attention.default layer_norm.default native_layer_norm.default rms_norm.default
    _fused_rms_norm.default group_norm.default
    native_group_norm.default batch_norm.default
    conv1d.default conv1d.padding conv2d.default conv2d.padding convolution.default avg_pool1d.default
    avg_pool2d.default max_pool1d.default max_pool2d.default adaptive_avg_pool1d.default
    gru.input lstm.input rnn_tanh.input rnn_relu.input
    view.default reshape.default _unsafe_view.default _reshape_alias.default flatten.using_ints unflatten.int
    squeeze.default squeeze.dim squeeze.dims unsqueeze.default expand.default expand_as.default permute.default
    transpose.int t.default movedim.int movedim.intlist numpy_T.default mT.default swapaxes.default contiguous.default
    clone.default alias.default detach.default lift_fresh_copy.default slice.Tensor select.int narrow.default
    index_select.default index.Tensor index_put.default index_add.default index_copy.default index_fill.int_Scalar
    gather.default take_along_dim.default scatter.src scatter.value scatter.reduce scatter_add.default
    scatter_reduce.two slice_scatter.default select_scatter.default masked_scatter.default cat.default stack.default
    chunk.default split.Tensor split_with_sizes.default split.sizes tensor_split.sections unbind.int
    unfold.default repeat.default repeat_interleave.self_int tile.default flip.default roll.default tril.default
    triu.default diagonal.default diag_embed.default constant_pad_nd.default pad.default view_as.default
    arange.default arange.start arange.start_step linspace.default full.default full_like.default new_full.default
    ones.default ones_like.default new_ones.default zeros.default zeros_like.default new_zeros.default eye.default
    eye.m scalar_tensor.default tril_indices.default bucketize.Tensor searchsorted.Tensor
    fill.Scalar fill.Tensor copy.default zero.default
    to.dtype to.dtype_layout to.device to.other _to_copy.default type_as.default sym_size.int
    """.split()
)
AS_RESHAPE = ("aten.view.default", "aten._unsafe_view.default", "aten._reshape_alias.default")


def _integer(function: Callable[..., int]) -> Callable[..., int]:
    """Integer arithmetic that cannot grow without end."""

    def bounded(*values: int) -> int:
        result = function(*values)
        if isinstance(result, int) and not -INT64 <= result < INT64:
            raise OverflowError("an integer beyond 64 bits")
        return result

    return bounded


ARITHMETIC: dict[str, Callable] = {
    "getitem": operator.getitem,
    "add": _integer(operator.add),
    "sub": _integer(operator.sub),
    "mul": _integer(operator.mul),
    "floordiv": _integer(operator.floordiv),
    "mod": _integer(operator.mod),
    "neg": _integer(operator.neg),
    **{name: getattr(operator, name) for name in ("ge", "le", "gt", "lt", "eq", "ne")},
}

DTYPES = {
    name: getattr(torch, name) for name in "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
}
MEMORY_FORMATS = {name: getattr(torch, name) for name in ("contiguous_format", "preserve_format", "channels_last")}
