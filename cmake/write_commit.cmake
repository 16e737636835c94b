# cmake -D SOURCE=folder -D HEADER=file -P write_commit.cmake: a header with the commit that the folder stands at. Run at each
# build, since commits come and go without CMake configuring again; the header is touched only when the commit has changed.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git describe --always --dirty WORKING_DIRECTORY ${SOURCE}
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#pragma once\n#define LOGLOG_COMMIT \"@commit@\"\n" @ONLY)
