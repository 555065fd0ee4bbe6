#!/bin/sh
# Pins each pulled image to the current digest of its tag: `sh deploy/pin-images.sh`. It needs Docker with Buildx, and network
# access. Images that are already pinned are pinned again; from then on Dependabot updates tag and digest together.
set -eu
cd "$(dirname "$0")/.."
line='^(FROM |COPY --from=| *image: )'
pin='(@sha256:[0-9a-f]{64})?'

for file in Dockerfile* compose*.yaml*; do
    # Names with a tag; `local` and `dev` are built here, and stages of the Dockerfile have no tag.
    images=$(sed -nE "s#$line([^ @:]+:[^ @]+)$pin( .*)?\$#\\2#p" "$file" | grep -vE ':(local|dev)$' | sort -u) || continue
    for image in $images; do
        told=$(docker buildx imagetools inspect "$image")
        digest=$(echo "$told" | awk '/^Digest:/ { print $2; exit }')
        echo "$digest" | grep -qxE 'sha256:[0-9a-f]{64}' || { echo "$image: no digest, but: $told" >&2; exit 1; }
        pinned=$(sed -E "s#$line$image$pin( .*)?\$#\\1$image@$digest\\3#" "$file")
        printf '%s\n' "$pinned" > "$file"
        echo "$file: $image@$digest"
    done
done
