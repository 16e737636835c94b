// Gives up writing when it is asked to: what is written under a temporary name is then removed by who began it.
#pragma once
#include <functional>
#include <utility>

#include "base/file.hpp"

namespace loglog {

// Passes everything on to `fs`, but a call that would add to the disk throws Error with exit code 75, which names `target`, once
// stop_requested() says so.
class StoppableFileSystem final : public FileSystem {
 public:
  StoppableFileSystem(FileSystem& fs, Path target, std::function<bool()> stop_requested)
      : fs_(fs), target_(std::move(target)), stop_requested_(std::move(stop_requested)) {}

  std::unique_ptr<WritableFile> create(const Path& path) override;
  std::unique_ptr<WritableFile> open_append(const Path& path) override;
  void rename(const Path& from, const Path& to) override { fs_.rename(from, to); }
  void remove(const Path& path) override { fs_.remove(path); }
  void remove_all(const Path& path) override { fs_.remove_all(path); }
  void create_directories(const Path& path) override { fs_.create_directories(path); }
  void sync_directory(const Path& path) override { fs_.sync_directory(path); }

 private:
  class File;
  void check() const;

  FileSystem& fs_;
  Path target_;
  std::function<bool()> stop_requested_;
};

}  // namespace loglog
