// A transformer block: branches that read the stream through their own norms and add to it.
//
//   serial      each reads what the one before has written (pre-norm, GPT-2)
//   parallel    all read what enters the block (GPT-J; GPT-NeoX, section 2.1)
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "nn/sublayer.hpp"

namespace loglog::nn {

enum class BlockOrder { serial, parallel };

class Block final : public Layer {
 public:
  struct Branch {
    std::string name;
    std::unique_ptr<Sublayer> sublayer;
  };
  Block(Index width, BlockOrder order, std::vector<Branch> branches);  // at least one

  void visit_parameters(const ParameterVisitor& v) override;
  void visit_saved(BatchShape shape, const SavedVisitor& v) override;
  void visit_memory(const MemoryShape& shape, const MemoryVisitor& v) override;
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, BatchShape shape) const override;
  void pack_weights(ExecContext& ctx) override;
  std::size_t packed_bytes(const kernels::KernelTable& table) const override;
  void forward(ExecContext& ctx, const Batch& batch, MatrixView out, MatrixView in) override;
  void backward(ExecContext& ctx, const Batch& batch, MatrixView d_in, ConstMatrixView d_out,
                ConstMatrixView in) override;

 private:
  Index width_;
  BlockOrder order_;
  std::vector<Branch> branches_;
  std::vector<MatrixView> between_;  // serial: (B*T, C), the stream behind each branch but the last
};

}  // namespace loglog::nn
