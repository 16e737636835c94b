// Where a worker takes runs from: a store on its machine, or a folder that many machines share (job_folder.hpp).
#pragma once
#include <functional>
#include <optional>
#include <string_view>

#include "sweep/store.hpp"

namespace loglog::sweep {

class RunQueue {
 public:
  virtual ~RunQueue() = default;
  virtual std::optional<Lease> acquire() = 0;  // the next run that is ready; nothing when there is none
  // What beats for this lease, on a thread of its own. It returns false when the lease was taken away.
  virtual std::function<bool(std::int64_t step)> pulse(const Lease& lease) = 0;
  virtual bool commit(const Lease& lease,
                      const Outcome& outcome) = 0;                  // false: taken away, nothing was written
  virtual bool release(const Lease& lease, bool checkpointed) = 0;  // false: likewise
  virtual Path run_folder(std::string_view identity) const = 0;     // of an unfinished run
  virtual bool has_waiting_child(std::string_view identity) = 0;
};

}  // namespace loglog::sweep
