#include "bench/peers/onednn.hpp"

#include <fmt/format.h>

#include <dnnl.hpp>
#include <memory>
#include <unordered_map>

namespace loglog::bench {
namespace {

dnnl::memory::data_type type_of(OneDnnType type) {
  using Type = dnnl::memory::data_type;
  switch (type) {
    case OneDnnType::f32:
      return Type::f32;
    case OneDnnType::bf16:
      return Type::bf16;
    case OneDnnType::s8:
      return Type::s8;
    case OneDnnType::u8:
      return Type::u8;
    case OneDnnType::s32:
      return Type::s32;
  }
  return Type::undef;
}

dnnl::memory::desc strided(const OneDnnMatrix& m) {
  return {{m.rows, m.cols}, type_of(m.type), dnnl::memory::dims{m.row_stride, m.col_stride}};
}

dnnl::memory memory_of(const OneDnnMatrix& m, const dnnl::engine& engine) {
  return {strided(m), engine, const_cast<void*>(m.data)};  // the library reads a and b only
}

}  // namespace

OneDnnProduct onednn_product(const OneDnnMatrix& a, const OneDnnMatrix& b, const OneDnnMatrix& c,
                             OneDnnWeights weights) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  dnnl::memory plain = memory_of(b, engine);
  const auto wanted = weights == OneDnnWeights::plain ? plain.get_desc()
                                                      : dnnl::memory::desc({b.rows, b.cols}, type_of(b.type),
                                                                           dnnl::memory::format_tag::any);
  try {
    const dnnl::matmul::primitive_desc description({strided(a), wanted, strided(c)}, engine);
    dnnl::memory ready = plain;
    if (weights == OneDnnWeights::packed) {
      ready = dnnl::memory(description.weights_desc(), engine);
      dnnl::reorder(plain, ready).execute(stream, plain, ready);
      stream.wait();
    }
    const dnnl::matmul matmul(description);
    const std::unordered_map<int, dnnl::memory> arguments = {{DNNL_ARG_SRC, memory_of(a, engine)},
                                                             {DNNL_ARG_WEIGHTS, ready},
                                                             {DNNL_ARG_DST, memory_of(c, engine)}};
    return {[=]() mutable {
              matmul.execute(stream, arguments);
              stream.wait();
            },
            description.impl_info_str()};
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return {};
    throw;
  }
}

std::string onednn_version() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

}  // namespace loglog::bench
