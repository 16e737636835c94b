// The seam for layers that are no blocks: an LSTM (Hochreiter & Schmidhuber 1997; gates as in Gers et al. 2000) joined to the
// stream. It is this one file; no existing one knows of it.
//
//   (i f g o) = x_t W_x + h_(t-1) W_h + b;  c_t = s(f) c_(t-1) + s(i) tanh(g);  h_t = s(o) tanh(c_t);  out_t = x_t + h_t
#include <cmath>

#include "nn/linear.hpp"
#include "support/isa.hpp"
#include "support/small_models.hpp"

using namespace loglog;
using namespace loglog::testing;

namespace {

class Lstm final : public nn::Layer {
 public:
  explicit Lstm(Index width) : width_(width) {}

  void visit_parameters(const nn::ParameterVisitor& v) override {
    visit(from_input_, width_, 4 * width_, true, 0.1f, tensor::within("from_input", v));
    visit(from_state_, width_, 4 * width_, false, 0.1f, tensor::within("from_state", v));
  }
  void visit_saved(nn::BatchShape shape, const nn::SavedVisitor& v) override {
    v("gates", gates_, shape.rows(), 4 * width_);
    v("cell", cell_, shape.rows(), width_);
    v("state", state_, shape.rows(), width_);
  }
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads,
                            nn::BatchShape shape) const override {
    return tensor::arena_bytes(shape.rows() * 4 * width_) + 2 * tensor::arena_bytes(width_) +
           tensor::arena_bytes(4 * width_) +
           nn::linear_scratch_bytes(table, threads, nn::FloatType::float32, shape.rows(), width_, 4 * width_);
  }

  void forward(nn::ExecContext& ctx, const nn::Batch& batch, nn::MatrixView out, nn::MatrixView in) override {
    kernels::ScratchFrame frame(ctx.scratch);
    const nn::MatrixView step = tensor::take_matrix(frame, 1, 4 * width_);
    linear_forward(ctx, gates_, in, from_input_);
    for (Index r = 0; r < in.rows; ++r) {
      float* const gate = gates_.row(r);
      if (r % batch.shape.time > 0) {
        linear_forward(ctx, step, row_of(state_, r - 1), from_state_);
        for (Index j = 0; j < 4 * width_; ++j) gate[j] += step.data[j];
      }
      for (Index j = 0; j < width_; ++j) {
        for (const Index part : {0, 1, 3}) gate[part * width_ + j] = sigmoid(gate[part * width_ + j]);
        gate[2 * width_ + j] = std::tanh(gate[2 * width_ + j]);
        const float before = r % batch.shape.time > 0 ? cell_.row(r - 1)[j] : 0.0f;
        cell_.row(r)[j] = gate[width_ + j] * before + gate[j] * gate[2 * width_ + j];
        state_.row(r)[j] = gate[3 * width_ + j] * std::tanh(cell_.row(r)[j]);
        out.row(r)[j] = in.row(r)[j] + state_.row(r)[j];
      }
    }
  }

  void backward(nn::ExecContext& ctx, const nn::Batch& batch, nn::MatrixView d_in, nn::ConstMatrixView d_out,
                nn::ConstMatrixView in) override {
    kernels::ScratchFrame frame(ctx.scratch);
    const nn::MatrixView d_gates = tensor::take_matrix(frame, in.rows, 4 * width_);
    const nn::MatrixView d_state = tensor::take_matrix(frame, 1, width_),
                         d_cell = tensor::take_matrix(frame, 1, width_);
    for (Index r = in.rows; r-- > 0;) {
      const bool is_last = (r + 1) % batch.shape.time == 0, is_first = r % batch.shape.time == 0;
      if (is_last) {
        std::fill_n(d_cell.data, width_, 0.0f);
        std::fill_n(d_state.data, width_, 0.0f);
      } else {
        linear_backward_input(ctx, d_state, from_state_, row_of(d_gates, r + 1));
      }
      const float* const gate = gates_.row(r);
      float* const d_gate = d_gates.row(r);
      for (Index j = 0; j < width_; ++j) {
        const float i = gate[j], f = gate[width_ + j], g = gate[2 * width_ + j], o = gate[3 * width_ + j];
        const float t = std::tanh(cell_.row(r)[j]), before = is_first ? 0.0f : cell_.row(r - 1)[j];
        const float d_h = d_out.row(r)[j] + d_state.data[j];
        const float d_c = d_cell.data[j] + d_h * o * (1 - t * t);
        d_gate[j] = d_c * g * i * (1 - i);
        d_gate[width_ + j] = d_c * before * f * (1 - f);
        d_gate[2 * width_ + j] = d_c * i * (1 - g * g);
        d_gate[3 * width_ + j] = d_h * t * o * (1 - o);
        d_cell.data[j] = d_c * f;
      }
      if (!is_first) linear_backward_parameters(ctx, from_state_, row_of(d_gates, r), row_of(state_, r - 1));
    }
    linear_backward_parameters(ctx, from_input_, d_gates, in);
    linear_backward_input(ctx, d_in, from_input_, d_gates);
    for (Index r = 0; r < in.rows; ++r)
      for (Index j = 0; j < width_; ++j) d_in.row(r)[j] += d_out.row(r)[j];
  }

 private:
  static float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
  static nn::MatrixView row_of(nn::MatrixView m, Index r) { return {m.row(r), 1, m.cols}; }
  Index width_;
  nn::LinearParams from_input_, from_state_;  // (C, 4C)
  nn::MatrixView gates_;                      // (B*T, 4C), behind their functions
  nn::MatrixView cell_, state_;               // (B*T, C)
};

template <class S>
LayerRef<S> lstm_ref(Index time) {
  return [time](const Parameters<S>& p, const std::string& name, const Matrix<S>& in) {
    const Matrix<S> from_input = linear_ref(p, name + ".from_input", in);
    const auto sigmoid = [](S x) { return S(1) / (S(1) + std::exp(-x)); };
    Matrix<S> out(in.rows, in.cols), h(1, in.cols), c(1, in.cols);
    for (Index r = 0; r < in.rows; ++r) {
      if (r % time == 0) h = c = Matrix<S>(1, in.cols);
      const Matrix<S> from_state = linear_ref(p, name + ".from_state", h);
      const auto gate = [&](Index part, Index j) {
        const Index at = part * in.cols + j;
        return from_input(r, at) + from_state(0, at);
      };
      for (Index j = 0; j < in.cols; ++j) {
        c(0, j) = sigmoid(gate(1, j)) * c(0, j) + sigmoid(gate(0, j)) * std::tanh(gate(2, j));
        h(0, j) = sigmoid(gate(3, j)) * std::tanh(c(0, j));
        out(r, j) = in(r, j) + h(0, j);
      }
    }
    return out;
  };
}

}  // namespace

TEST_CASE("a recurrent layer in a file of its own plugs into a model") {
  const model::ModelConfig m{.layers = 1, .width = 8, .heads = 2, .context = 6, .vocab = 9};
  const nn::BatchShape shape{2, 6};
  model::Layers layers = model::gpt_layers(m, kernels::FloatType::float32);
  layers.insert(layers.begin() + 2, std::make_unique<Lstm>(m.width));
  SmallModel small(m, shape, test_table(), 1, std::move(layers));
  const float scale = 1.0f / float(shape.rows());
  small.forward_backward(scale);
  require_gradients(small, {block_ref<Complex>(m, shape.time), lstm_ref<Complex>(shape.time)}, double(scale),
                    40);
}
