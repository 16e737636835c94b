// File systems for tests: one that does not wait for the disk, one whose k-th call fails, one that records
// what a power cut would leave.
#pragma once
#include <cerrno>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/rng.hpp"

namespace loglog {

// The real file system without waiting for the disk: what a sync does to the machine's disk is not what these
// tests look at, and hundreds of them take minutes.
class UnsyncedFileSystem final : public FileSystem {
 public:
  std::unique_ptr<WritableFile> create(const Path& path) override {
    return std::make_unique<File>(real_file_system().create(path));
  }
  std::unique_ptr<WritableFile> open_append(const Path& path) override {
    return std::make_unique<File>(real_file_system().open_append(path));
  }
  void rename(const Path& from, const Path& to) override { real_file_system().rename(from, to); }
  void remove(const Path& path) override { real_file_system().remove(path); }
  void remove_all(const Path& path) override { real_file_system().remove_all(path); }
  void create_directories(const Path& path) override { real_file_system().create_directories(path); }
  void sync_directory(const Path&) override {}

 private:
  class File final : public WritableFile {
   public:
    explicit File(std::unique_ptr<WritableFile> file) : file_(std::move(file)) {}
    void append(std::span<const std::byte> bytes) override { file_->append(bytes); }
    void sync() override {}
    void close() override { file_->close(); }

   private:
    std::unique_ptr<WritableFile> file_;
  };
};

inline FileSystem& unsynced_file_system() {
  static UnsyncedFileSystem instance;
  return instance;
}

// Passes every call on, except that call number `fail_at` (counted from 0) throws
// ENOSPC. A failing append writes half of its bytes first, as a full disk does.
class FailingFileSystem final : public FileSystem {
 public:
  explicit FailingFileSystem(int fail_at) : fail_at_(fail_at) {}
  int calls() const { return calls_; }
  bool failed() const { return calls_ > fail_at_; }

  std::unique_ptr<WritableFile> create(const Path& path) override {
    count("cannot open for writing", path);
    return std::make_unique<File>(*this, real().create(path), path);
  }
  std::unique_ptr<WritableFile> open_append(const Path& path) override {
    count("cannot open for writing", path);
    return std::make_unique<File>(*this, real().open_append(path), path);
  }
  void rename(const Path& from, const Path& to) override {
    count("cannot rename", to);
    real().rename(from, to);
  }
  void remove(const Path& path) override {
    count("cannot remove", path);
    real().remove(path);
  }
  void remove_all(const Path& path) override {
    count("cannot remove", path);
    real().remove_all(path);
  }
  void create_directories(const Path& path) override {
    count("cannot create folder", path);
    real().create_directories(path);
  }
  void sync_directory(const Path& path) override {
    count("cannot flush folder", path);
    real().sync_directory(path);
  }

 private:
  class File final : public WritableFile {
   public:
    File(FailingFileSystem& fs, std::unique_ptr<WritableFile> file, Path path)
        : fs_(fs), file_(std::move(file)), path_(std::move(path)) {}
    void append(std::span<const std::byte> bytes) override {
      if (fs_.calls_ == fs_.fail_at_) file_->append(bytes.first(bytes.size() / 2));
      fs_.count("cannot write to", path_);
      file_->append(bytes);
    }
    void sync() override {
      fs_.count("cannot flush", path_);
      file_->sync();
    }
    void close() override {
      fs_.count("cannot close", path_);
      file_->close();
    }

   private:
    FailingFileSystem& fs_;
    std::unique_ptr<WritableFile> file_;
    Path path_;
  };

  static FileSystem& real() { return unsynced_file_system(); }
  void count(const char* what, const Path& path) {
    if (calls_++ == fail_at_) throw IoError(what, path.native(), ENOSPC);
  }
  int fail_at_;
  int calls_ = 0;
};

// Passes every call on and remembers what each would leave on a disk that loses power: bytes of a file are
// safe up to its last sync, and changes of a folder up to its last sync_directory; later ones survive or not,
// in any combination.
class RecordingFileSystem final : public FileSystem {
 public:
  struct Disk {  // what a machine finds after the power came back
    std::map<std::string, std::string> files;
    void write_to(const Path& folder) const {
      for (const auto& [name, text] : files) {
        const Path path = folder / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << text;
      }
    }
  };

  explicit RecordingFileSystem(Path root) : root_(std::move(root)) {}
  std::size_t length() const { return log_.size(); }

  // The disk after a power cut behind the first `prefix` calls. `draw` decides what survives of the unsafe rest.
  Disk after_power_cut(std::size_t prefix, const Rng& draw) const {
    std::uint64_t drawn = 0;
    std::map<std::string, std::size_t> names;               // safe entries
    std::vector<Event> pending;                             // folder changes that no sync has made safe
    std::vector<std::size_t> written(contents_.size(), 0);  // bytes per file
    std::vector<std::size_t> synced(contents_.size(), 0);
    for (std::size_t i = 0; i < prefix; ++i) {
      const Event& e = log_[i];
      if (e.kind == Kind::append) written[e.file] = e.size;
      if (e.kind == Kind::sync) synced[e.file] = written[e.file];
      if (e.kind == Kind::link || e.kind == Kind::unlink || e.kind == Kind::move) pending.push_back(e);
      if (e.kind != Kind::sync_folder) continue;
      std::erase_if(pending, [&](const Event& change) {
        if (Path(change.name).parent_path() != Path(e.name)) return false;
        apply(names, change);
        return true;
      });
    }
    for (const Event& change : pending) {
      if (draw.below(drawn++, 2) == 0) apply(names, change);
    }
    Disk disk;
    for (const auto& [name, file] : names) {
      const std::size_t lost = written[file] - synced[file];
      const std::size_t kept = synced[file] + draw.below(drawn++, 3) * lost / 2;  // none, half or all of it
      disk.files[name] = contents_[file].substr(0, kept);
    }
    return disk;
  }

  std::unique_ptr<WritableFile> create(const Path& path) override {
    return std::make_unique<File>(*this, unsynced_file_system().create(path), open(path, true));
  }
  std::unique_ptr<WritableFile> open_append(const Path& path) override {
    return std::make_unique<File>(*this, unsynced_file_system().open_append(path), open(path, false));
  }
  void rename(const Path& from, const Path& to) override {
    unsynced_file_system().rename(from, to);
    const std::size_t file = live_.at(relative(from));
    live_.erase(relative(from));
    live_[relative(to)] = file;
    log_.push_back({Kind::move, relative(to), relative(from), file, 0});
  }
  void remove(const Path& path) override {
    unsynced_file_system().remove(path);
    if (live_.erase(relative(path)) != 0) log_.push_back({Kind::unlink, relative(path), "", 0, 0});
  }
  void remove_all(const Path& path) override { unsynced_file_system().remove_all(path); }
  void create_directories(const Path& path) override { unsynced_file_system().create_directories(path); }
  void sync_directory(const Path& path) override {
    unsynced_file_system().sync_directory(path);
    log_.push_back({Kind::sync_folder, relative(path), "", 0, 0});
  }

 private:
  enum class Kind { link, append, sync, move, unlink, sync_folder };
  struct Event {
    Kind kind;
    std::string name;
    std::string from;
    std::size_t file;
    std::size_t size;
  };
  class File final : public WritableFile {
   public:
    File(RecordingFileSystem& fs, std::unique_ptr<WritableFile> real, std::size_t file)
        : fs_(fs), real_(std::move(real)), file_(file) {}
    void append(std::span<const std::byte> bytes) override {
      real_->append(bytes);
      std::string& text = fs_.contents_[file_];
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      fs_.log_.push_back({Kind::append, "", "", file_, text.size()});
    }
    void sync() override {
      real_->sync();
      fs_.log_.push_back({Kind::sync, "", "", file_, 0});
    }
    void close() override { real_->close(); }

   private:
    RecordingFileSystem& fs_;
    std::unique_ptr<WritableFile> real_;
    std::size_t file_;
  };

  std::string relative(const Path& path) const { return path.lexically_relative(root_).string(); }
  std::size_t open(const Path& path, bool truncate) {
    const std::string name = relative(path);
    if (!truncate && live_.contains(name)) return live_[name];
    contents_.emplace_back();
    live_[name] = contents_.size() - 1;
    log_.push_back({Kind::link, name, "", contents_.size() - 1, 0});
    return contents_.size() - 1;
  }
  static void apply(std::map<std::string, std::size_t>& names, const Event& e) {
    if (e.kind != Kind::link) names.erase(e.kind == Kind::move ? e.from : e.name);
    if (e.kind != Kind::unlink) names[e.name] = e.file;
  }

  Path root_;
  std::vector<Event> log_;
  std::vector<std::string> contents_;        // of every file ever made, by number
  std::map<std::string, std::size_t> live_;  // what the program sees
};

}  // namespace loglog
