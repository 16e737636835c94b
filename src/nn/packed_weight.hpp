// A weight in the forms that products of bfloat16 take.
#pragma once
#include <memory>

#include "kernels/packed_matrix.hpp"
#include "nn/layer.hpp"

namespace loglog::nn {

// Forms of a weight that are rounded and packed once for all products of a step, 2 bytes per parameter each: none, so that every
// product does it again; what a forward pass takes; or that of a backward pass too.
enum class PackedForms { none, forward, both };

// What layers multiply, and how they keep weights for it.
struct Products {
  FloatType type = FloatType::float32;
  PackedForms packed = PackedForms::both;  // of bfloat16

  Products() = default;
  // A type says most of it.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Products(FloatType t, PackedForms p = PackedForms::both) : type(t), packed(p) {}
  bool packs() const { return type == FloatType::bfloat16 && packed != PackedForms::none; }
};

// W (K, N) or its transpose, as a product takes it.
enum class WeightForm { plain, transposed };

class PackedWeight {
 public:
  // The first time makes room. `forward` is the form that a forward pass takes.
  void pack(ExecContext& ctx, ConstMatrixView weight, PackedForms forms,
            WeightForm forward = WeightForm::plain);
  // Null where that form is not kept.
  const kernels::PackedMatrix<bf16>* find(WeightForm form) const {
    return forms_[static_cast<int>(form)].get();
  }

  static std::size_t bytes(const kernels::KernelTable& table, Index rows, Index cols,
                           const Products& products, WeightForm forward = WeightForm::plain);

 private:
  std::unique_ptr<kernels::PackedMatrix<bf16>> forms_[2];
};

}  // namespace loglog::nn
