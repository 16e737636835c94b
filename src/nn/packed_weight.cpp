#include "nn/packed_weight.hpp"

namespace loglog::nn {
namespace {

using Packed = kernels::PackedMatrix<bf16>;

bool is_kept(PackedForms forms, WeightForm forward, WeightForm form) {
  return forms == PackedForms::both || (forms == PackedForms::forward && form == forward);
}

}  // namespace

void PackedWeight::pack(ExecContext& ctx, ConstMatrixView weight, PackedForms forms, WeightForm forward) {
  for (const WeightForm form : {WeightForm::plain, WeightForm::transposed}) {
    auto& packed = forms_[static_cast<int>(form)];
    if (packed != nullptr || !is_kept(forms, forward, form)) continue;
    const ConstMatrixView w = form == WeightForm::plain ? weight : weight.transposed();
    packed = std::make_unique<Packed>(ctx.kernels, w.rows, w.cols);
  }
  const auto& [plain, transposed] = forms_;
  if (plain != nullptr && transposed != nullptr) return Packed::pack_both(ctx, *plain, *transposed, weight);
  if (plain != nullptr) plain->pack(ctx, weight);
  if (transposed != nullptr) transposed->pack(ctx, weight.transposed());
}

std::size_t PackedWeight::bytes(const kernels::KernelTable& table, Index rows, Index cols,
                                const Products& products, WeightForm forward) {
  if (!products.packs()) return 0;
  const kernels::PanelLayout layout = kernels::layout_of(*table.gemm_bf16);
  Index elements = 0;
  if (is_kept(products.packed, forward, WeightForm::plain)) elements += layout.elements(rows, cols);
  if (is_kept(products.packed, forward, WeightForm::transposed)) elements += layout.elements(cols, rows);
  return static_cast<std::size_t>(elements) * sizeof(bf16);
}

}  // namespace loglog::nn
