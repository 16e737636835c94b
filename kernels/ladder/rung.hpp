// A rung of a teaching ladder: one idea, one short file, and what the idea should be worth.
//
// The rungs of a ladder compute the same thing with the same signature (gemm.hpp, attention.hpp, int8.hpp). Each file
// ends with its Rung, which is data: the verb `loglog ladder` prints what stands there beside what it measures.
#pragma once

namespace loglog::kernels::ladder {

inline constexpr int kGuest = 0, kPeer = -1;  // numbers: the user's own rung; another library
inline constexpr double kAsThreads = -1;      // a gain: as many times as there are threads

struct RungInfo {
  int number;        // its place in the ladder, from 1; page docs/ladder/LADDER/NUMBER-NAME.md. kGuest, kPeer
  const char* name;  // "loop-order"
  const char* idea;  // one line
  double gain;       // expected rate, relative to the rung before; 0: nothing is compared
  const char* why;   // the reason for that number
  const char* loss = "";   // why the rung may be slower than the one before; empty where it should not be
  const char* needs = "";  // ISAs of which one has to be there, separated by blanks; empty for none
  bool threads = false;    // whether it uses more than one
  bool parts =
      false;  // whether half of the rows or heads take half of the time: then a slow rung is timed on fewer
  double work = 1;           // operations, relative to those of rung 1
  double operand_error = 0;  // relative error to which it rounds its operands before it begins
};

template <class Run>
struct Rung {
  RungInfo info;
  Run* run;
};

}  // namespace loglog::kernels::ladder
