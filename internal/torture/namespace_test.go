//go:build linux

package torture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/auditadmin/auditadmin/internal/need"
)

// A test that needs a small disk runs in a process of its own, which has mounts
// that nobody else sees: it is this program once more, in a namespace of its own.
const (
	smallDisk    = "TORTURE_SMALL_DISK" // the folder on which the disk is mounted there
	builtProgram = "TORTURE_PROGRAM"    // the program, so that it is built once
	noSmallDisk  = "no small disk:"
	findingLine  = "finding "
)

// onSmallDisk runs test on a disk of 8 MB. Outside it starts the process and
// passes on what that found; inside it calls test with the folder.
func onSmallDisk(t *testing.T, test func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(smallDisk); dir != "" {
		test(t, dir)
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), smallDisk+"="+t.TempDir(), builtProgram+"="+theProgram(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 || strings.Contains(string(out), noSmallDisk) {
		need.Skip(t, "a small disk needs namespaces of users and mounts, which this system does not allow: "+strings.TrimSpace(string(out)))
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if text, is := strings.CutPrefix(lines.Text(), findingLine); is {
			var f finding
			if err := json.Unmarshal([]byte(text), &f); err != nil {
				t.Fatal(err)
			}
			report(t, f)
		}
	}
	if err != nil {
		t.Errorf("in its own namespace: %v\n%s", err, out)
	}
}

// mountSmall mounts a disk of 8 MB.
func mountSmall(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=700")
}

// remount makes a mounted disk readable alone, or writable again.
func remount(t testing.TB, dir string, readOnly bool) {
	t.Helper()
	flags := uintptr(syscall.MS_REMOUNT)
	if readOnly {
		flags |= syscall.MS_RDONLY
	}
	if err := syscall.Mount("", dir, "", flags, "size=8m"); err != nil {
		t.Fatalf("remount %s: %v", dir, err)
	}
}

func free(t testing.TB, dir string) int64 {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}
