# SPDX-License-Identifier: Apache-2.0
#
# configure COUNT: does what scripts by autoconf do: for each of COUNT headers and functions a
# small source is written, compiled or linked, and removed, with the usual small programs in
# between; then config.h is made of what was found. In the current directory.
set -eu
count=$1

headers='stdio.h stdlib.h string.h unistd.h fcntl.h errno.h sys/types.h sys/stat.h sys/wait.h signal.h time.h stdint.h'
functions='printf malloc strlen fork open strerror getpid stat waitpid kill time memcpy'

srcdir=$(dirname "$0")
test -d "$srcdir" && test -w . || exit 1
uname -m >/dev/null
echo 'int main(void) { return 0; }' >conftest.c
cc -o conftest conftest.c && ./conftest
rm -f conftest conftest.c
: >confdefs.h

defined() {
    name=$(echo "HAVE_$1" | sed 's/[^A-Za-z0-9_]/_/g' | tr '[:lower:]' '[:upper:]')
    echo "#define $name 1" >>confdefs.h
}

tried=0
for header in $headers; do
    test $tried -lt "$count" || break
    tried=$(expr $tried + 1)
    { cat confdefs.h; echo "#include <$header>"; } >conftest.c
    if cc -c conftest.c -o conftest.o 2>conftest.err; then defined "$header"; fi
    grep -c error conftest.err >/dev/null || :
    rm -f conftest.c conftest.o conftest.err
done
tried=0
for function in $functions; do
    test $tried -lt "$count" || break
    tried=$(expr $tried + 1)
    printf 'char %s(void);\nint main(void) { return %s != 0; }\n' "$function" "$function" >conftest.c
    if cc -w -fno-builtin -o conftest conftest.c 2>conftest.err; then defined "$function"; fi
    rm -f conftest conftest.c conftest.err
done

sort confdefs.h | uniq >config.h.new
mv config.h.new config.h
chmod 644 config.h
rm -f confdefs.h
