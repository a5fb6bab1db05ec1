package Pulse::Painter;

# A studio that makes pictures: nginx, the sidecar, and a twin of each
# provider that plays what the suite says.
#
#     my $painter = Pulse::Painter->start;
#     $painter->openai->play(painted(png(4, 4)), ...);
#     my $reply = $painter->post('/v1/images/generate', $key, {...});
#     my @asked = $painter->google->requests(1);
#     form($painter->port, '/v1/images/edits', $key,
#          [prompt => 'x', image => { type => 'image/png', data => png(4, 4) }]);

use v5.30;
use warnings;

use Compress::Zlib qw(compress crc32);
use Exporter qw(import);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use Pulse::Client qw(http);
use Pulse::Env ();
use Pulse::Nginx;
use Pulse::Replay;
use Pulse::Sidecar;

our @EXPORT_OK = qw(account form form_body fetched painted png shown);


# start(options => [...] of the sidecar, database => another way to it,
# http => more of nginx's)

sub start {
    my ($class, %o) = @_;

    my $self = bless {}, $class;

    for my $name (qw(openai google replicate)) {
        $self->{$name} = Pulse::Replay->start(as => uc $name);

        local $_ = uc $name;
        $ENV{"${_}_BASE_URL"} = $self->{$name}->url . '/v1';
        $ENV{"${_}_API_KEY"} = "key-of-$name";
    }

    $self->{sidecar} = Pulse::Sidecar->start(
        $o{database} ? (database => $o{database}) : (),
        options => ['--models', "$Pulse::Env::root/conf/models.json",
                    @{ $o{options} // [] }]);

    my $files = $self->{sidecar}->files;
    my $more = $o{http} // '';

    $self->{nginx} = Pulse::Nginx->new(
        workers => 2,
        http => <<"HTTP",
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}";
    pulse_redis $ENV{TEST_NGINX_PULSE_REDIS};
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
    pulse_sidecar $ENV{TEST_NGINX_PULSE_SIDECAR};
    pulse_public_url http://studio.example;
    pulse_upgrade_url http://studio.example/plans;
    $more
    pulse_file_store $files key=$files.key;
HTTP
        config => <<"CONFIG",
        pulse_auth on;

        location /v1/images/generate { pulse_docs; }
        location /v1/images/edit {
            client_max_body_size 256m;
            client_body_buffer_size 64k;
            pulse_docs form;
        }
        location = /v1/images/generations { pulse_dialect openai; pulse_docs; }
        location = /v1/images/edits {
            client_max_body_size 256m;
            client_body_buffer_size 64k;
            pulse_dialect openai;
            pulse_docs form;
        }
        location /v1/usage/ { pulse_api; }
        location = /metrics { pulse_auth off; pulse_api; }
        location /v1/ { pulse_docs; }
        location /files/ { pulse_auth off; pulse_files /stored/; }
        location /stored/ {
            internal;
            pulse_auth off;
            alias $files/;
            log_not_found off;
        }
CONFIG
    )->run;

    return $self;
}


sub openai { $_[0]{openai} }
sub google { $_[0]{google} }
sub replicate { $_[0]{replicate} }
sub nginx { $_[0]{nginx} }
sub sidecar { $_[0]{sidecar} }
sub port { $_[0]{nginx}->port }


sub post {
    my ($self, $path, $key, $body, %more) = @_;

    return http(POST => $path, port => $self->port, bearer => $key,
                json => $body, %more);
}


sub stop {
    my ($self) = @_;

    my $nginx = $self->{nginx}->stop;

    return ($self->{sidecar}->stop, $nginx, [$self->{nginx}->problems]);
}


# A PNG of one color, or of noise, which does not compress.

sub png {
    my ($width, $height, %o) = @_;

    my $rows = '';

    if ($o{noise}) {
        open my $in, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
        read $in, my $noise, 3 * $width * $height;

        $rows .= "\0" . substr $noise, 3 * $width * $_, 3 * $width
            for 0 .. $height - 1;

    } else {
        $rows = ("\0" . "\x80\x20\x40" x $width) x $height;
    }

    my $chunk = sub {
        my ($type, $data) = @_;

        return pack('N', length $data) . $type . $data
               . pack('N', crc32($type . $data));
    };

    return "\x89PNG\r\n\x1a\n"
           . $chunk->(IHDR => pack 'NNCCCCC', $width, $height, 8, 2, 0, 0, 0)
           . $chunk->(IDAT => compress($rows, $o{noise} ? 0 : 9))
           . $chunk->(IEND => '');
}


# An answer of OpenAI's with these pictures.

sub painted {
    my @pictures = @_;

    return { json => {
        created => 1, output_format => 'png', quality => 'low',
        data => [map { { b64_json => encode_base64($_, '') } } @pictures],
        usage => { input_tokens => 10, output_tokens => 272 * @pictures,
                   input_tokens_details => { text_tokens => 10,
                                             image_tokens => 0 },
                   output_tokens_details => {
                       text_tokens => 0, image_tokens => 272 * @pictures },
                   total_tokens => 10 + 272 * @pictures },
    } };
}


# One of Google's with one.

sub shown {
    my ($picture, %o) = @_;

    return { json => {
        candidates => [{ content => { role => 'model', parts => [
            @{ $o{before} // [] },
            { inlineData => { mimeType => 'image/png',
                              data => encode_base64($picture, '') },
              thoughtSignature => 'x' x 20_000 },
        ] }, finishReason => 'STOP' }],
        usageMetadata => { promptTokenCount => 4, candidatesTokenCount => 1120,
                           totalTokenCount => 1124 },
    } };
}


sub form_body {
    my ($fields, $boundary) = @_;

    my @fields = @$fields;
    my $body = '';

    while (@fields) {
        my ($name, $value) = splice @fields, 0, 2;

        $value = { data => $value } if !ref $value;

        $body .= "--$boundary\r\nContent-Disposition: form-data;"
                 . " name=\"$name\""
                 . (defined $value->{type} ? '; filename="a"' : '') . "\r\n"
                 . (defined $value->{type}
                    ? "Content-Type: $value->{type}\r\n" : '')
                 . "\r\n$value->{data}\r\n";
    }

    return "$body--$boundary--\r\n";
}


sub form {
    my ($port, $path, $key, $fields, %more) = @_;

    my $boundary = delete $more{boundary} // 'BoundaryOfATest';
    my $type = delete $more{content_type}
               // "multipart/form-data; boundary=$boundary";
    my $headers = delete $more{headers} // {};

    return http(POST => $path, port => $port, bearer => $key,
                headers => { 'Content-Type' => $type, %$headers },
                body => ref $fields ? form_body($fields, $boundary) : $fields,
                %more);
}


# What a link leads to.

sub fetched {
    my ($painter, $url) = @_;

    my $path = $url =~ s{^http://studio\.example}{}r;

    return http(GET => $path, port => $painter->port);
}


# "used leased limit" of somebody's pictures.

sub account {
    my ($user) = @_;

    return scalar Pulse::Env::sql(
        "SELECT used || ' ' || leased || ' ' || limit_amount FROM accounts"
        . " WHERE user_id = '$user' AND kind = 1");
}


1;
