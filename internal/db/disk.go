//go:build linux || darwin

package db

import "golang.org/x/sys/unix"

// diskSpace returns how many bytes of the file system of a folder are free for
// this program, and how many there are; 0 where that cannot be found out.
func diskSpace(folder string) (free, size int64) {
	var fs unix.Statfs_t
	if unix.Statfs(folder, &fs) != nil {
		return 0, 0
	}
	return int64(fs.Bavail) * int64(fs.Bsize), int64(fs.Blocks) * int64(fs.Bsize)
}
