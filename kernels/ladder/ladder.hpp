// A ladder on operands of one size: every rung can be checked and run, whatever its signature is. What the verb
// `loglog ladder` works with.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ladder/rung.hpp"
#include "kernels/matrix.hpp"

namespace loglog::kernels {
struct KernelTable;
}

namespace loglog::kernels::ladder {

struct Work {
  double flops;  // of the definition, whatever a rung does
  double bytes;  // compulsory traffic: each operand read once, each result written once
};

using Symbol = void (*)();  // a function of a shared object, of the ladder's guest type (loglog_rung.hpp)

class Ladder {
 public:
  virtual ~Ladder() = default;

  const std::vector<RungInfo>& rungs() const { return rungs_; }
  virtual void add_peers() {}  // other libraries that are installed, behind the rungs
  virtual void add_guest(const RungInfo& info, Symbol function) = 0;  // as the last rung

  // Rows of C, heads of attention: a rung can do the first few alone.
  virtual Index parts() const = 0;
  virtual Work work(int rung, Index parts) const = 0;
  virtual void run(int rung, Index parts) = 0;

  // Compares the rung with plain loops in float64: exactly on small integers and odd sizes, whose operands end at
  // pages that nobody may touch, and within its rounding bound on `parts` parts of the operands that are timed.
  // Empty when all is right, else the first wrong element. Every call of the rung goes through `call`, which is told what it
  // is about to compute and has to run it.
  using Call = std::function<void(const std::string& what, const std::function<void()>& run)>;
  virtual std::string check(int rung, Index parts, const Call& call) = 0;

  // What else there is to say of a rung's result, such as its error; empty for nothing.
  virtual std::string remark(int) { return {}; }

 protected:
  std::vector<RungInfo> rungs_;
};

struct LadderKind {
  std::string_view name;                            // "gemm"
  std::string_view letters;                         // "M,N,K", what a size is made of
  std::string_view formula;                         // what is computed
  std::vector<std::vector<Index>> sizes;            // that are measured when none is asked for
  std::vector<Index> largest;                       // of each number of a size
  double (*bytes)(const std::vector<Index>& size);  // of its operands
  std::unique_ptr<Ladder> (*make)(const KernelTable& table, int threads, const std::vector<Index>& size);
};

const std::vector<LadderKind>& ladder_kinds();

// Empty when `rung` can run with `table`, else why not: "needs avx512_vnni or avx_vnni: this CPU lacks them".
std::string missing(const RungInfo& rung, const KernelTable& table);

}  // namespace loglog::kernels::ladder
