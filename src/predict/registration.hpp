// What shows that a prediction stood before its runs were trained: the hash of its file, and the commit that holds it.
#pragma once
#include <string>

#include "base/file.hpp"

namespace loglog::predict {

struct Registration {
  std::string file;  // as it was named
  std::string hash;  // base/hash.hpp, of its bytes
  std::string
      commit;  // that last changed it; empty where it lies in no git repository, or where there is no git
};

// Whether a file that lies in a git repository has to be committed there.
enum class Commit { required, optional };

// RefusedError where the file lies in a git repository and is not, or not as it is, committed there though it is required. InputError where
// it cannot be read.
Registration registration_of(const Path& file, Commit commit = Commit::required);

// The key of the note in a store under which a sweep keeps its registration.
inline std::string prediction_note(const std::string& sweep) {
  return "prediction " + sweep;
}

std::string to_json(const Registration& registration);  // one object, which every run of it keeps

}  // namespace loglog::predict
