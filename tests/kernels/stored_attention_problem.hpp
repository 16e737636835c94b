// An attention problem whose keys and values are stored before attention reads them, in int8 with a gap between rows.
#pragma once
#include <cstring>

#include "kernels/attention_problem.hpp"
#include "kernels/key_values.hpp"

namespace loglog::testing {

using kernels::KeyValueMatrix;
using kernels::KeyValueType;

// Keys or values in int8 behind guard pages; rows begin at odd addresses, scales too.
class StoredRows {
 public:
  StoredRows(Index rows, Index heads, Index head_size)
      : heads_(heads),
        size_(head_size),
        bytes_(rows, heads * kernels::head_stride(KeyValueType::int8, head_size), 3) {}

  KeyValueMatrix matrix() {
    return {bytes_.data(), KeyValueType::int8, bytes_.rows(), heads_ * size_, bytes_.ref().row_stride};
  }
  void store(const kernels::ConstFloatMatrix& from, int threads = 1) {
    kernels::Scratch scratch(kernels::store_key_values_scratch_bytes(threads, from.cols, size_));
    kernels::ExecContext ctx{test_table(), threads, scratch};
    kernels::store_key_values(ctx, matrix(), from, size_);
  }
  std::int8_t q(Index row, Index col) const { return bytes_(row, col / size_ * (size_ + 4) + col % size_); }
  float scale(Index row, Index head) const {
    float value;
    std::memcpy(&value, &bytes_.data()[row * bytes_.ref().row_stride + head * (size_ + 4) + size_],
                sizeof value);
    return value;
  }
  // What column `col` of the heads stands for.
  double operator()(Index row, Index col) const {
    return static_cast<double>(scale(row, col / size_)) * q(row, col);
  }
  bool intact() const { return bytes_.intact(); }
  std::vector<std::int8_t> bytes() const { return bytes_.values(); }

 private:
  Index heads_, size_;
  GuardedMatrixOf<std::int8_t> bytes_;
};

// Its kv is what is stored; the reference has what int8 makes of it.
template <class Q>
struct StoredProblem : AttentionProblem<Q, float> {
  using Base = AttentionProblem<Q, float>;
  using Key = std::int8_t;
  using Base::Base;
  StoredRows keys{this->kv_rows, this->kv_heads, this->batch.shape.head_size};
  StoredRows values{this->kv_rows, this->kv_heads, this->batch.shape.head_size};

  void store() {
    keys.store(this->kv.ref().columns(0, this->kv_width));
    values.store(this->kv.ref().columns(this->kv_width, this->kv_width));
  }
  void forward(int threads = 1) {
    store();
    kernels::Scratch scratch(kernels::attention_scratch_bytes(test_table(), threads, this->shape()));
    kernels::ExecContext ctx{test_table(), threads, scratch};
    kernels::attention_forward(ctx, this->out.ref(), this->lse.data(), this->q.ref(), keys.matrix(),
                               values.matrix(), this->shape());
  }
  bool intact() const { return Base::intact() && keys.intact() && values.intact(); }
  std::vector<double> key_rows(const GuardedMatrix&, Index b, Index which) const {
    const AttentionSequence s = this->batch.sequence(b);
    const StoredRows& rows = which == 0 ? keys : values;
    std::vector<double> numbers;
    for (Index i = 0; i < s.keys; ++i)
      for (Index j = 0; j < this->kv_width; ++j) numbers.push_back(rows(s.key + i, j));
    return numbers;
  }
};

}  // namespace loglog::testing
