#!/usr/bin/env bash
# Runs kernel tests of the avx512 row on an emulated Skylake-X, for machines that lack AVX-512: qemu 7.2 has no
# AVX-512, Bochs has. Bochs emulates a whole PC, so a Linux kernel and an initramfs with the test programs are booted.
#
#   tests/emulators/avx512_in_bochs.sh build/release test_kernels_gemm test_kernels_isa ...
#
# Prints one line per program, "PROGRAM@avx512 passed" or "failed", and exits 1 when any failed or did not finish.
# Needs Debian's bochs bochsbios vgabios grub-pc-bin grub-common xorriso mtools busybox-static cpio, and downloads the
# kernel package linux-image-cloud-amd64 without installing it. Takes minutes: an emulated second is about 20 real ones.
set -euo pipefail

build=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{kernel,root/{bin,lib64,proc,dev,tmp},iso/boot/grub}

# The kernel, unpacked from its package.
kernel_package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
(cd "$work/kernel" && apt-get download -qq "$kernel_package" 2>/dev/null && dpkg -x ./*.deb .)
cp "$work"/kernel/boot/vmlinuz-* "$work/iso/boot/vmlinuz"

# The initramfs: busybox, the test programs, and the libraries they load.
cp /bin/busybox "$work/root/bin/"
for program in "$@"; do
  cp "$build/bin/$program" "$work/root/bin/"
  ldd "$build/bin/$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$work/root$(dirname "$library")"
    cp -n "$library" "$work/root$library"
  done
done
{
  echo '#!/bin/busybox sh'
  echo '/bin/busybox mount -t proc none /proc'
  echo 'export LOGLOG_REQUIRE_ISA=avx512 OMP_NUM_THREADS=1'
  for program in "$@"; do
    echo "if /bin/$program --isa avx512 > /tmp/log 2>&1; then echo 'RESULT $program@avx512 passed'"
    echo "else /bin/busybox tail -n 30 /tmp/log; echo 'RESULT $program@avx512 failed'; fi"
  done
  echo 'echo FINISHED; /bin/busybox sleep 3; /bin/busybox poweroff -f'
} >"$work/root/init"
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$work/iso/boot/initrd.gz"

# Bochs 2.7 reports the compacted size of the AVX-512 state where the kernel expects the standard one, and the kernel
# then turns AVX off: without xsavec (CPUID bit 321) and xsaves (323) it uses the standard format and both agree.
cat >"$work/iso/boot/grub/grub.cfg" <<'GRUB'
set timeout=0
linux /boot/vmlinuz console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable clearcpuid=321,323,xsavec,xsaves acpi=off nosmp noapic
initrd /boot/initrd.gz
boot
GRUB
grub-mkrescue -o "$work/boot.iso" "$work/iso" >/dev/null 2>&1

cat >"$work/bochsrc" <<CONFIG
megs: 1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=corei7_skylake_x, count=1, ips=10000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial.txt
display_library: rfb, options="timeout=0"
log: $work/bochs.log
panic: action=fatal
clock: sync=none
CONFIG
echo c >"$work/commands"  # Debian's Bochs starts in its debugger and waits for "continue"
timeout "${BOCHS_TIMEOUT_S:-3600}" bochs -q -f "$work/bochsrc" -rc "$work/commands" >/dev/null 2>&1 </dev/null &
emulator=$!
while kill -0 "$emulator" 2>/dev/null && ! grep -aq '^FINISHED' "$work/serial.txt" 2>/dev/null; do sleep 2; done
sleep 2
kill "$emulator" 2>/dev/null || true
wait "$emulator" 2>/dev/null || true

tr -d '\r' <"$work/serial.txt" | grep -a -v '^RESULT' | grep -a -A 40 'Catch' || true
status=0
for program in "$@"; do
  line=$(tr -d '\r' <"$work/serial.txt" | sed -n "s/.*RESULT \($program@avx512 .*\)/\1/p" | head -n 1)
  echo "${line:-$program@avx512 did not finish}"
  [[ $line == *passed ]] || status=1
done
exit "$status"
