// A thin owner of SQLite's handles: errors become exceptions, transactions roll back, NaN is refused.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace loglog::sweep {

// SQLite is busy or failed: exit 7 for a lock that others hold too long, 1 otherwise.
[[noreturn]] void throw_sqlite_error(sqlite3* handle, const Path& path, std::string_view what);

class Statement;

class Database {
 public:
  // Opens for writing even where only reading is meant: after a crash the first to come rolls back.
  // SQLite itself falls back to reading when the file is protected.
  explicit Database(const Path& path);
  Database(const Path& file, const Path& name);  // makes the file if need be; errors call it by the name
  Database(const Database&) = delete;            // statements point into it
  Database& operator=(const Database&) = delete;

  void execute(const std::string& sql);  // statements without parameters
  Statement prepare(std::string_view sql);
  std::int64_t changes() const;  // rows that the last statement changed
  const Path& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  Database(const Path& file, const Path& name, int flags);
  Path path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

// A prepared statement; parameters and columns are numbered from 0. Valid as long as its database.
class Statement {
 public:
  Statement(sqlite3* handle, const Path& path, std::string_view sql);

  // Binds in order: integers, doubles (NaN and infinity are ContractErrors: SQLite would store NULL),
  // text, std::nullopt for NULL.
  template <class... Values>
  Statement& bind(const Values&... values) {
    reset();
    int index = 0;
    (bind_one(index++, values), ...);
    return *this;
  }

  bool step();  // true when there is a row
  void run();   // for statements that return none

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;

 private:
  void reset();
  void bind_one(int index, std::int64_t value);
  void bind_one(int index, int value) { bind_one(index, std::int64_t{value}); }
  void bind_one(int index, double value);
  void bind_one(int index, std::string_view value);
  void bind_one(int index, const char* value) { bind_one(index, std::string_view(value)); }
  void bind_one(int index, const std::string& value) { bind_one(index, std::string_view(value)); }
  void bind_one(int index, std::nullopt_t);
  template <class T>
  void bind_one(int index, const std::optional<T>& value) {
    if (value)
      bind_one(index, *value);
    else
      bind_one(index, std::nullopt);
  }
  void check(int code, std::string_view what);

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  sqlite3* handle_;
  const Path* path_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// BEGIN IMMEDIATE: the write lock is taken at once, so that what is read inside stays true until commit().
// Without commit() the destructor rolls back.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database* database_;
};

}  // namespace loglog::sweep
