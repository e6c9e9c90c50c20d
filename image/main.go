// Command image makes the operator's container image without a container engine: an index of one image for each platform, as
// an OCI layout, and in a registry where one is named. What goes in is the static program, Mozilla's certificate authorities and
// a user without rights. The same inputs make the same digests.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	program      = "/private-genai-operator"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
	// Nobody's: what distroless images call nonroot, and the chart's Deployment runs as.
	user = "65532"
)

// binary is the program for one platform.
type binary struct {
	platform v1.Platform
	content  []byte
}

// contents is all that images are made of.
type contents struct {
	version, revision, source string
	created                   time.Time
	certificates              []byte
	binaries                  []binary
}

// file is one entry of a layer.
type file struct {
	name    string
	mode    int64
	content []byte
}

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	var what contents
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	output := flags.String("output", "", "the folder of the OCI layout, which is made anew")
	push := flags.String("push", "", "a reference such as registry.example/operator:0.1.0 to push to as well")
	created := flags.Int64("created", 0, "when it was made, in seconds since 1970")
	authorities := flags.String("certificates", "", "a PEM file of certificate authorities")
	flags.StringVar(&what.version, "version", "", "the version of the program")
	flags.StringVar(&what.revision, "revision", "", "the commit that it was built of")
	flags.StringVar(&what.source, "source", "", "the URL of the repository")
	flags.Func("binary", "PLATFORM=FILE, such as linux/amd64=program; once for each platform", func(text string) error {
		return what.read(text)
	})
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *output == "" || what.version == "" || *authorities == "" || len(what.binaries) == 0 {
		return errors.New("--output, --version, --certificates and --binary are needed")
	}
	what.created = time.Unix(*created, 0).UTC()
	var err error
	if what.certificates, err = os.ReadFile(*authorities); err != nil {
		return err
	}
	index, err := what.index()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(*output); err != nil {
		return err
	}
	if _, err := layout.Write(*output, index); err != nil {
		return err
	}
	if *push != "" {
		reference, err := name.ParseReference(*push)
		if err != nil {
			return err
		}
		keychain := remote.WithAuthFromKeychain(authn.DefaultKeychain)
		if err := remote.WriteIndex(reference, index, keychain, remote.WithContext(ctx)); err != nil {
			return err
		}
	}
	return what.tell(index, out)
}

func (c *contents) read(text string) error {
	platform, at, found := strings.Cut(text, "=")
	parsed, err := v1.ParsePlatform(platform)
	if !found || err != nil || parsed.Architecture == "" {
		return fmt.Errorf("%q is not PLATFORM=FILE", text)
	}
	content, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	// What needs a loader would not start in an image that has none.
	if bytes.Contains(content[:min(len(content), 4096)], []byte("/ld-")) {
		return fmt.Errorf("%s is linked dynamically", at)
	}
	c.binaries = append(c.binaries, binary{*parsed, content})
	return nil
}

func (c *contents) index() (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, each := range c.binaries {
		image, err := c.image(each)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &each.platform},
		})
	}
	return mutate.Annotations(index, c.annotations()).(v1.ImageIndex), nil
}

func (c *contents) image(of binary) (v1.Image, error) {
	// What rarely changes comes first: a new version is one new layer.
	ground, err := c.layer([]file{
		{certificates, 0o644, c.certificates},
		{"/etc/group", 0o644, []byte("root:x:0:\nnonroot:x:" + user + ":\n")},
		{"/etc/passwd", 0o644, []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:" + user + ":" + user + ":nonroot:/:/sbin/nologin\n")},
	})
	if err != nil {
		return nil, err
	}
	top, err := c.layer([]file{{program, 0o755, of.content}})
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, ground, top); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = of.platform.OS, of.platform.Architecture, of.platform.Variant
	config.Created = v1.Time{Time: c.created}
	config.Config = v1.Config{
		User:       user + ":" + user,
		Entrypoint: []string{program},
		Env:        []string{"PATH=/", "SSL_CERT_FILE=" + certificates},
		WorkingDir: "/",
		Labels:     c.annotations(),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, c.annotations()).(v1.Image), nil
}

func (c *contents) annotations() map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":       "private-genai-operator",
		"org.opencontainers.image.description": "Keeps the path from applications to Amazon Bedrock private",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.created":     c.created.Format(time.RFC3339),
		"org.opencontainers.image.version":     c.version,
		"org.opencontainers.image.revision":    c.revision,
		"org.opencontainers.image.source":      c.source,
	}
	for key, value := range all {
		if value == "" {
			delete(all, key)
		}
	}
	return all
}

func (c *contents) layer(files []file) (v1.Layer, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	made := map[string]bool{}
	for _, each := range files {
		if err := c.folders(writer, path.Dir(each.name), made); err != nil {
			return nil, err
		}
		header := tar.Header{Name: each.name[1:], Mode: each.mode, Size: int64(len(each.content)), ModTime: c.created}
		if err := writer.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(each.content); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(9))
}

func (c *contents) folders(writer *tar.Writer, folder string, made map[string]bool) error {
	if folder == "/" || made[folder] {
		return nil
	}
	if err := c.folders(writer, path.Dir(folder), made); err != nil {
		return err
	}
	made[folder] = true
	return writer.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: folder[1:] + "/", Mode: 0o755, ModTime: c.created,
	})
}

// tell says for each platform how large the program is, and what a node downloads; and in the last line the digest of the index, by
// which all platforms are pulled.
func (c *contents) tell(index v1.ImageIndex, out io.Writer) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "platform\tprogram\tcompressed image\tdigest")
	for i, descriptor := range manifest.Manifests {
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			return err
		}
		layers, err := image.Layers()
		if err != nil {
			return err
		}
		var compressed int64
		for _, layer := range layers {
			size, err := layer.Size()
			if err != nil {
				return err
			}
			compressed += size
		}
		program := len(c.binaries[i].content)
		fmt.Fprintf(table, "%s\t%.1f MB\t%.1f MB\t%s\n",
			descriptor.Platform, float64(program)/1e6, float64(compressed)/1e6, descriptor.Digest)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(table, "index\t\t\t%s\n", digest)
	return table.Flush()
}
