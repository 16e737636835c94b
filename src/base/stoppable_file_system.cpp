#include "base/stoppable_file_system.hpp"

#include "base/error.hpp"

namespace loglog {

class StoppableFileSystem::File final : public WritableFile {
 public:
  File(const StoppableFileSystem& fs, std::unique_ptr<WritableFile> file) : fs_(fs), file_(std::move(file)) {}
  void append(std::span<const std::byte> bytes) override {
    fs_.check();
    file_->append(bytes);
  }
  void sync() override { file_->sync(); }
  void close() override { file_->close(); }

 private:
  const StoppableFileSystem& fs_;
  std::unique_ptr<WritableFile> file_;
};

void StoppableFileSystem::check() const {
  if (stop_requested_())
    throw Error(Exit::checkpointed, "stopped by a signal before '" + target_.native() + "' was written");
}

std::unique_ptr<WritableFile> StoppableFileSystem::create(const Path& path) {
  check();
  return std::make_unique<File>(*this, fs_.create(path));
}

std::unique_ptr<WritableFile> StoppableFileSystem::open_append(const Path& path) {
  check();
  return std::make_unique<File>(*this, fs_.open_append(path));
}

}  // namespace loglog
