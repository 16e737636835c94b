#include "nn/attention.hpp"

#include <algorithm>

#include "kernels/key_values.hpp"
#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::nn {

using tensor::take_matrix;

RotaryAngles::RotaryAngles(Index context, Index pairs, double base, kernels::RotaryPairing pairing)
    : context_(context),
      pairs_(pairs),
      pairing_(pairing),
      cos_(static_cast<std::size_t>(context * pairs)),
      sin_(cos_.size()) {
  kernels::rotary_tables({cos_.data(), context, pairs}, {sin_.data(), context, pairs}, base);
}

kernels::Rotary RotaryAngles::of_heads(Index head_size) const {
  return {pairing_, head_size, {cos_.data(), context_, pairs_}, {sin_.data(), context_, pairs_}};
}

std::size_t RotaryAngles::bytes(Index context, Index pairs) {
  return 2 * static_cast<std::size_t>(context * pairs) * sizeof(float);
}

AttentionSublayer::AttentionSublayer(AttentionConfig config) : config_(std::move(config)) {
  params_.norm.config = config_.norm;
  for (NormParams* p : {&params_.q_norm, &params_.k_norm})
    p->config = {config_.qk_norm ? NormKind::rmsnorm : NormKind::none, false, config_.norm.epsilon};
}

void AttentionSublayer::visit_parameters(const ParameterVisitor& v) {
  visit(params_.norm, config_.width, tensor::within("norm", v));
  visit(params_.qkv, config_.width, qkv_width(), config_.qkv_bias, config_.weight_sd,
        tensor::within("qkv", v));
  visit(params_.q_norm, config_.head_size(), tensor::within("q_norm", v));
  visit(params_.k_norm, config_.head_size(), tensor::within("k_norm", v));
  visit(params_.out, config_.width, config_.width, config_.bias, config_.out_sd, tensor::within("out", v));
}

void AttentionSublayer::visit_saved(BatchShape shape, const SavedVisitor& v) {
  const Index rows = shape.rows();
  visit(saved_.norm, config_.norm, rows, tensor::within("norm", v));
  v("normed", saved_.normed, rows, config_.width, config_.products.type);
  v("qkv", saved_.qkv, rows, qkv_width(), config_.products.type);
  if (config_.qk_norm) {
    v("raw", saved_.raw, rows, config_.width + config_.kv_width(), config_.products.type);
    v("qk_rstd", saved_.qk_rstd, 1, (config_.heads + config_.kv_heads) * rows);
  }
  v("mixed", saved_.mixed, rows, config_.width, config_.products.type);
  v("lse", saved_.lse, 1, config_.heads * rows);
}

void AttentionSublayer::visit_memory(const MemoryShape& shape, const MemoryVisitor& v) {
  const KeyValueType type = shape.type.value_or(kernels::key_value_type(config_.products.type));
  const auto place = [&](std::string_view name, kernels::KeyValueMatrix& x) {
    x = kernels::KeyValueMatrix::dense(x.data, type, shape.rows, config_.kv_heads, config_.head_size());
    x.data = v(name, x.data, x.rows, static_cast<std::size_t>(x.row_stride) * kernels::bytes_of(type));
  };
  place("keys", memory_.keys);
  place("values", memory_.values);
}

kernels::AttentionShape AttentionSublayer::attention_shape(
    BatchShape shape, std::span<const kernels::AttentionSequence> sequences) const {
  return {.batch = sequences.empty() ? shape.batch : static_cast<Index>(sequences.size()),
          .time = shape.time,
          .heads = config_.heads,
          .head_size = config_.head_size(),
          .kv_heads = config_.kv_heads,
          .mask = config_.mask,
          .sequences = sequences.empty() ? nullptr : sequences.data()};
}

std::size_t AttentionSublayer::scratch_bytes(const kernels::KernelTable& table, int threads,
                                             BatchShape shape) const {
  const Index rows = shape.rows(), c = config_.width;
  const auto bytes = [&](Index cols, FloatType type) { return tensor::arena_bytes(rows * cols, type); };
  const std::size_t temporaries = bytes(c, config_.products.type) +
                                  bytes(qkv_width(), config_.products.type) + branch_scratch_bytes(rows, c);
  // No cut of the rows has more documents than rows, nor a longer one than T; scratch grows with both.
  const BatchShape cut{shape.documents ? rows : shape.batch, shape.time};
  return temporaries +
         std::max({linear_scratch_bytes(table, threads, config_.products, rows, c, qkv_width(),
                                        params_.qkv.weight.frozen.get()),
                   linear_scratch_bytes(table, threads, config_.products, rows, c, c,
                                        params_.out.weight.frozen.get()),
                   kernels::rowwise_scratch_bytes(table, threads, rows, qkv_width()),
                   kernels::store_key_values_scratch_bytes(threads, config_.kv_width(), config_.head_size()),
                   kernels::attention_scratch_bytes(table, threads, attention_shape(cut))});
}

void AttentionSublayer::pack_weights(ExecContext& ctx) {
  pack(ctx, params_.qkv, config_.products);
  pack(ctx, params_.out, config_.products);
}

std::size_t AttentionSublayer::packed_bytes(const kernels::KernelTable& table) const {
  return nn::packed_bytes(params_.qkv.weight, table, config_.width, qkv_width(), config_.products) +
         nn::packed_bytes(params_.out.weight, table, config_.width, config_.width, config_.products);
}

template <class Call>
void AttentionSublayer::for_heads(Index rows, Call&& call) {
  const Index size = config_.head_size();
  for (Index head = 0; head < config_.heads + config_.kv_heads; ++head) {
    const bool is_query = head < config_.heads;
    const NormSaved rstd{{}, {saved_.qk_rstd.data + head * rows, 1, rows}};
    call(head * size, size, is_query ? params_.q_norm : params_.k_norm, rstd);
  }
}

void AttentionSublayer::place_queries_and_keys(ExecContext& ctx, const Batch& batch) {
  const FloatView qk = saved_.qkv.columns(0, config_.width + config_.kv_width());
  if (config_.qk_norm) {
    kernels::convert(ctx, saved_.raw, qk);
    for_heads(batch.shape.rows(), [&](Index first, Index size, const NormParams& p, const NormSaved& rstd) {
      norm_forward(ctx, qk.columns(first, size), rstd, saved_.raw.columns(first, size), p);
    });
  }
  if (config_.rotary != nullptr)
    kernels::rotary_forward(ctx, qk, qk, batch.positions, config_.rotary->of_heads(config_.head_size()));
}

void AttentionSublayer::place_backward(ExecContext& ctx, const Batch& batch, const FloatView& d_qk) {
  if (config_.rotary != nullptr)
    kernels::rotary_backward(ctx, d_qk, d_qk, batch.positions, config_.rotary->of_heads(config_.head_size()));
  if (!config_.qk_norm) return;
  for_heads(batch.shape.rows(), [&](Index first, Index size, const NormParams& p, const NormSaved& rstd) {
    const FloatView d_head = d_qk.columns(first, size);
    norm_backward(ctx, d_head, d_head, rstd, saved_.raw.columns(first, size), p);
  });
}

void AttentionSublayer::attend(ExecContext& ctx, const Batch& batch) {
  const Index c = config_.width, kv = config_.kv_width();
  const FloatView keys = saved_.qkv.columns(c, kv), values = saved_.qkv.columns(c + kv, kv);
  if (batch.continued.empty())
    return kernels::attention_forward(ctx, saved_.mixed, saved_.lse.data, saved_.qkv.columns(0, c), keys,
                                      values, attention_shape(batch.shape, batch.documents));
  for (const kernels::AttentionSequence& s : batch.continued) {
    const Index next = s.key + s.keys - s.queries;  // behind what is remembered of it
    kernels::store_key_values(ctx, memory_.keys.rows_from(next, s.queries),
                              keys.rows_from(s.query, s.queries), config_.head_size());
    kernels::store_key_values(ctx, memory_.values.rows_from(next, s.queries),
                              values.rows_from(s.query, s.queries), config_.head_size());
  }
  kernels::attention_forward(ctx, saved_.mixed, saved_.lse.data, saved_.qkv.columns(0, c), memory_.keys,
                             memory_.values, attention_shape(batch.shape, batch.continued));
}

void AttentionSublayer::show_attention(ExecContext& ctx, const Batch& batch) const {
  const FloatView& qkv = saved_.qkv;
  if (batch.continued.empty())
    batch.probe->attention(ctx, config_.layer,
                           {qkv.columns(0, config_.width), qkv.columns(config_.width, config_.kv_width()),
                            saved_.lse.data, attention_shape(batch.shape, batch.documents)});
  batch.probe->input(ctx, {Site::attention_out, config_.layer}, saved_.mixed);
}

void AttentionSublayer::forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in,
                                ConstMatrixView residual) {
  Probe* const probe = batch.probe;
  if (probe != nullptr) probe->stream(ctx, {Site::attention_stream, config_.layer}, in);
  norm_forward(ctx, saved_.normed, saved_.norm, in, params_.norm);
  if (probe != nullptr) probe->input(ctx, {Site::qkv, config_.layer}, saved_.normed);
  linear_forward(ctx, saved_.qkv, saved_.normed, params_.qkv);
  place_queries_and_keys(ctx, batch);
  attend(ctx, batch);
  if (probe != nullptr) show_attention(ctx, batch);
  branch_forward_end(ctx, batch, config_.site, out, saved_.mixed, params_.out, residual);
}

void AttentionSublayer::backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                                 ConstMatrixView d_residual, ConstMatrixView in) {
  const Index c = config_.width, kv = config_.kv_width(), rows = batch.shape.rows();
  const FloatView qkv = saved_.qkv;
  kernels::ScratchFrame frame(ctx.scratch);
  const FloatView narrow = take_matrix(frame, config_.products.type, rows, c);  // (B*T, C)
  const FloatView d_qkv =
      take_matrix(frame, config_.products.type, rows, qkv_width());  // (B*T, C + 2 kv_width)
  const ConstFloatView d_branch =
      branch_gradient(ctx, frame, batch, config_.site, config_.products.type, d_out);

  linear_backward_parameters(ctx, params_.out, d_branch, saved_.mixed);  // out = mixed W_out + b_out
  linear_backward_input(ctx, narrow, params_.out, d_branch);             // d_mixed
  kernels::attention_backward(ctx, d_qkv.columns(0, c), d_qkv.columns(c, kv), d_qkv.columns(c + kv, kv),
                              narrow, qkv.columns(0, c), qkv.columns(c, kv), qkv.columns(c + kv, kv),
                              saved_.mixed, saved_.lse.data, attention_shape(batch.shape, batch.documents));
  place_backward(ctx, batch, d_qkv.columns(0, c + kv));
  linear_backward_parameters(ctx, params_.qkv, d_qkv, saved_.normed);  // qkv = normed W_qkv + b_qkv
  linear_backward_input(ctx, narrow, params_.qkv, d_qkv);              // now d_normed
  norm_backward(ctx, d_in, narrow, saved_.norm, in, params_.norm, d_residual);
}

}  // namespace loglog::nn
