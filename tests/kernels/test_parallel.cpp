// Tasks on threads: each once, each thread's own share first, and help for who is slow.
#include "kernels/parallel.hpp"

#include <atomic>
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

#include "kernels/threads.hpp"
#include "support/catch.hpp"

using namespace loglog::kernels;

TEST_CASE("every task runs once, on a thread of the team") {
  for (const int threads : {1, 2, 3, 7, 70}) {  // 70: more than there are shares
    for (const Index tasks : {0, 1, 2, 6, 7, 63, 64, 65, 71, 1000}) {
      CAPTURE(threads, tasks);
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
      std::atomic<int> strangers = 0;
      parallel_tasks(threads, tasks, [&](Index task, int thread) {
        ++runs.at(static_cast<std::size_t>(task));
        if (thread < 0 || thread >= std::min<Index>(threads, tasks)) ++strangers;
      });
      REQUIRE(strangers == 0);
      int others = 0;
      for (const auto& count : runs) others += count != 1;
      REQUIRE(others == 0);
    }
  }
}

TEST_CASE("a thread begins with its own share, the same in every call") {
  constexpr int kThreads = 3;
  constexpr Index kTasks = 10;
  REQUIRE(usable_threads(kThreads) == kThreads);
  for (int call = 0; call < 3; ++call) {
    std::barrier all_began(kThreads);  // nobody helps before everybody has begun
    std::vector<Index> first(kThreads, -1);
    parallel_tasks(kThreads, kTasks, [&](Index task, int thread) {
      if (first[thread] >= 0) return;
      first[thread] = task;
      all_began.arrive_and_wait();
    });
    REQUIRE(first == std::vector<Index>{0, 3, 6});
  }
}

TEST_CASE("others do the tasks of a thread that is slow") {
  REQUIRE(usable_threads(2) == 2);
  std::atomic<int> others = 0;
  bool saw_all = false;
  parallel_tasks(2, 10, [&](Index task, int) {
    if (task != 0) {
      ++others;
      return;
    }
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (others < 9 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
    saw_all = others == 9;
  });
  REQUIRE(saw_all);
}
