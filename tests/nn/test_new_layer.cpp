// The seam for new layers, proved with one that the project does not have: a mixture of two perceptrons with
// a learned gate. It is this one file; no existing one knows of it.
//
//   g = sigmoid(in w),  out = g * mlp_a(in) + (1 - g) * mlp_b(in)
#include <cmath>

#include "kernels/rowwise/sums.hpp"
#include "nn/mlp.hpp"
#include "support/isa.hpp"
#include "support/small_models.hpp"

using namespace loglog;
using namespace loglog::testing;

namespace {

class TwoExperts final : public nn::Layer {
 public:
  explicit TwoExperts(const nn::MlpConfig& config) : width_(config.width), a_(config), b_(config) {}

  void visit_parameters(const nn::ParameterVisitor& v) override {
    v("gate", gate_, width_, 1, tensor::Decay::yes, {0.0f, 0.02f});
    a_.visit_parameters(tensor::within("a", v));
    b_.visit_parameters(tensor::within("b", v));
  }
  void visit_saved(nn::BatchShape shape, const nn::SavedVisitor& v) override {
    v("g", g_, shape.rows(), 1);
    v("out_a", out_a_, shape.rows(), width_);
    v("out_b", out_b_, shape.rows(), width_);
    a_.visit_saved(shape, tensor::within("a", v));
    b_.visit_saved(shape, tensor::within("b", v));
  }
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads,
                            nn::BatchShape shape) const override {
    const auto temporary = static_cast<std::size_t>(shape.rows() * width_) * sizeof(float);
    return 2 * kernels::round_up_to_cache_line(temporary) + a_.scratch_bytes(table, threads, shape);
  }
  void forward(nn::ExecContext& ctx, const nn::Batch& batch, nn::MatrixView out, nn::MatrixView in) override {
    a_.forward(ctx, batch, out_a_, in, in);
    b_.forward(ctx, batch, out_b_, in, in);
    for (Index r = 0; r < in.rows; ++r) {
      float z = 0.0f;
      for (Index j = 0; j < width_; ++j) z += in.row(r)[j] * gate_.value[j];
      const float g = g_.data[r] = 1.0f / (1.0f + std::exp(-z));
      for (Index j = 0; j < width_; ++j) out.row(r)[j] = g * out_a_.row(r)[j] + (1.0f - g) * out_b_.row(r)[j];
    }
  }
  void backward(nn::ExecContext& ctx, const nn::Batch& batch, nn::MatrixView d_in, nn::ConstMatrixView d_out,
                nn::ConstMatrixView in) override {
    kernels::ScratchFrame frame(ctx.scratch);
    const auto count = static_cast<std::size_t>(in.rows * width_);
    const nn::MatrixView d_expert(frame.take<float>(count), in.rows, width_);  // (B*T, C)
    const nn::MatrixView tmp(frame.take<float>(count), in.rows, width_);       // (B*T, C)
    weigh(d_expert, d_out, [&](Index r) { return g_.data[r]; });
    a_.backward(ctx, batch, d_in, d_expert, d_expert, in);
    weigh(d_expert, d_out, [&](Index r) { return 1.0f - g_.data[r]; });
    b_.backward(ctx, batch, tmp, d_expert, d_expert, in);
    kernels::add(ctx, d_in, d_in, tmp);
    for (Index r = 0; r < in.rows; ++r) {
      float d_g = 0.0f;
      for (Index j = 0; j < width_; ++j) d_g += d_out.row(r)[j] * (out_a_.row(r)[j] - out_b_.row(r)[j]);
      const float d_z = d_g * g_.data[r] * (1.0f - g_.data[r]);
      for (Index j = 0; j < width_; ++j) {
        gate_.gradient[j] += d_z * in.row(r)[j];
        d_in.row(r)[j] += d_z * gate_.value[j];
      }
    }
  }

 private:
  template <class Weight>
  static void weigh(nn::MatrixView out, nn::ConstMatrixView in, Weight&& weight) {
    for (Index r = 0; r < in.rows; ++r)
      for (Index j = 0; j < in.cols; ++j) out.row(r)[j] = weight(r) * in.row(r)[j];
  }
  Index width_;
  nn::MlpSublayer a_, b_;
  nn::Parameter gate_;            // (C, 1)
  nn::MatrixView g_;              // (B*T, 1)
  nn::MatrixView out_a_, out_b_;  // (B*T, C)
};

template <class S>
LayerRef<S> two_experts_ref(const model::ModelConfig& m) {
  return [&m](const Parameters<S>& p, const std::string& name, const Matrix<S>& in) {
    const Matrix<S> z = multiply(in, p.at(name + ".gate"));
    const Matrix<S> a = sum(mlp_ref(p, name + ".a", in, m), in), b = sum(mlp_ref(p, name + ".b", in, m), in);
    Matrix<S> out(in.rows, in.cols);
    for (Index r = 0; r < in.rows; ++r) {
      const S g = 1.0 / (1.0 + std::exp(-z(r, 0)));
      for (Index j = 0; j < in.cols; ++j) out(r, j) = g * a(r, j) + (1.0 - g) * b(r, j);
    }
    return out;
  };
}

}  // namespace

TEST_CASE("a layer in a file of its own plugs into a model") {
  const model::ModelConfig m{.layers = 1, .width = 8, .heads = 2, .context = 6, .vocab = 9};
  const nn::BatchShape shape{2, 6};
  model::Layers layers = model::gpt_layers(m, kernels::FloatType::float32);
  const nn::MlpConfig expert{.width = m.width, .hidden = m.hidden()};
  layers.insert(layers.begin() + 2, std::make_unique<TwoExperts>(expert));
  SmallModel small(m, shape, test_table(), 1, std::move(layers));
  const float scale = 1.0f / float(shape.rows());
  small.forward_backward(scale);
  require_gradients(small, {block_ref<Complex>(m, shape.time), two_experts_ref<Complex>(m)}, double(scale),
                    40);
}
