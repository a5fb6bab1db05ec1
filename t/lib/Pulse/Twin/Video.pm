package Pulse::Twin::Video;

# Three providers of videos in one: Replicate, Veo on Vertex AI with the token
# endpoint before it, and Gemini's Interactions API.  What each was asked to
# make goes on until the suite says otherwise:
#
#     my $twin = Pulse::Twin::Video->start(key => ..., secret => 'whsec_...',
#                                          recordings => DIR, video => BYTES);
#     $twin->tell(set => { state => 'done' });    # of the newest, or of "id"
#     $twin->tell('jobs');                        # what it was asked to make
#     $twin->tell('revoke');                      # the token of Vertex
#     $twin->tell(begin => { state => 'done' });  # of all that follow
#     $twin->tell(webhook => { id => ... });      # headers and body, signed

use v5.30;
use warnings;

use parent 'Pulse::Twin';

use Digest::SHA qw(hmac_sha256);
use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);

my $json = JSON::PP->new->canonical->utf8;
my $n = 0;


sub answer {
    my ($self, $request) = @_;

    # a file is no JSON, and where it is may be elsewhere

    if ($request->{path} =~ m{^/(?:files|google/v1beta/files|storage)/}
        && !$self->{fault}{times})
    {
        push @{ $self->{log} }, { method => $request->{method},
                                  path => $request->{path} };
        return $self->file($request);
    }

    return $self->SUPER::answer($request);
}


sub file {
    my ($self, $request) = @_;

    my $headers = $request->{headers};

    if ($request->{path} =~ m{^/google/}) {
        return Pulse::Twin::reply(403, { error => 'key' })
            if ($headers->{'x-goog-api-key'} // '') ne $self->{key};

        return "HTTP/1.1 302 Twin\r\nLocation: http://127.0.0.1:"
               . "$self->{port}/files/moved.mp4\r\nContent-Length: 0\r\n"
               . "Connection: close\r\n\r\n";
    }

    if ($request->{path} =~ m{^/storage/}) {
        return Pulse::Twin::reply(401, { error => 'token' })
            if ($headers->{authorization} // '')
               ne 'Bearer ' . ($self->{bearer} // '');

        return Pulse::Twin::reply(404, { error => $request->{path} })
            if $request->{path}
               !~ m{^/storage/v1/b/maker-1/o/made%20of%20it%2Fa\.mp4};
    }

    my ($name) = $request->{path} =~ m{([^/]+)$};

    return Pulse::Twin::reply(404, {}) if $name eq 'gone.mp4';

    return "HTTP/1.1 302 Twin\r\nLocation: http://localhost:$self->{port}"
           . "/files/a.mp4\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        if $name eq 'elsewhere.mp4';

    return "HTTP/1.1 302 Twin\r\nLocation: /files/around.mp4\r\n"
           . "Content-Length: 0\r\nConnection: close\r\n\r\n"
        if $name eq 'around.mp4';

    my $body = $name eq 'page.mp4' ? '<html>no video</html>'
             : $name eq 'cut.mp4' ? substr($self->{video}, 0, 500)
             : $name eq 'large.mp4' ? $self->{large}->()
             : $self->{video};

    my $length = $name eq 'huge.mp4' ? 1 << 30 : length $body;

    return "HTTP/1.1 200 Twin\r\nContent-Type: video/mp4\r\n"
           . "Content-Length: $length\r\nConnection: close\r\n\r\n$body";
}


sub call {
    my ($self, $request) = @_;

    my $path = $request->{path};

    return $self->token(Pulse::Twin::form($request->{body}))
        if $path eq '/token';
    return $self->replicate($request, $1)
        if $path =~ m{^/replicate/v1(/.*)};
    return $self->vertex($request, $1) if $path =~ m{^/vertex/v1/(.*)};
    return $self->google($request, $1) if $path =~ m{^/google/v1beta(/.*)};

    return (404, { detail => 'nothing is here' });
}


sub job {
    my ($self, %o) = @_;

    my $job = { state => $self->{begins} // 'running', %o };

    push @{ $self->{jobs} }, $job;

    return $job;
}


sub find {
    my ($self, $id) = @_;

    my ($job) = grep { $_->{id} eq ($id // '') } @{ $self->{jobs} // [] };

    return $job;
}


sub recording {
    my ($self, $name) = @_;

    open my $in, '<:raw', "$self->{recordings}/$name"
        or die "$self->{recordings}/$name: $!\n";
    local $/;
    my $text = <$in>;

    # an early API repeats a key, which is not for a parser to mind

    return $json->decode($text);
}


# --- Replicate

sub replicate {
    my ($self, $request, $path) = @_;

    return (401, { title => 'Unauthenticated', status => 401,
                   detail => 'You did not pass a valid token' })
        if ($request->{headers}{authorization} // '') ne "Bearer $self->{key}";

    if ($path =~ m{^/models/([\w.-]+/[\w.-]+)/predictions$}) {
        my $body = $json->decode($request->{body});

        return (422, { title => 'Input validation failed', status => 422,
                       detail => '- input: prompt is required' })
            if !defined $body->{input}{prompt};

        my $job = $self->job(id => sprintf('rep%023d', ++$n), of => 'replicate',
                             model => $1, input => $body->{input},
                             webhook => $body->{webhook},
                             events => $body->{webhook_events_filter});

        return (201, $self->prediction($job, 'predictions-create-1'));
    }

    my ($id, $cancel) = $path =~ m{^/predictions/(\w+)(/cancel)?$}
        or return (404, { detail => 'not found', status => 404 });
    my $job = $self->find($id) or return (404, { status => 404 });

    $job->{state} = 'canceled' if $cancel && $job->{state} eq 'running';
    $job->{canceled}++ if $cancel;
    $job->{polls}++ if !$cancel;

    return (200, $self->prediction($job, 'predictions-get-1'));
}


sub prediction {
    my ($self, $job, $recorded) = @_;

    my $prediction = $self->recording("replicate-python-$recorded.json");
    my $base = "http://127.0.0.1:$self->{port}/replicate/v1/predictions/"
               . $job->{id};

    my %status = (running => $job->{polls} ? 'processing' : 'starting',
                  done => 'succeeded', canceled => 'canceled');

    return {
        %$prediction,
        id => $job->{id}, model => $job->{model}, version => 'hidden',
        input => $job->{input}, logs => $job->{logs} // '',
        status => $status{$job->{state}} // 'failed',
        error => $status{$job->{state}} ? undef
                                        : $job->{error} // 'it broke',
        output => $job->{state} eq 'done'
                  ? $job->{output}
                    // "http://127.0.0.1:$self->{port}/files/a.mp4" : undef,
        urls => { get => $base, cancel => "$base/cancel" },
    };
}


# --- Vertex AI

sub token {
    my ($self, $form) = @_;

    return (400, { error => 'invalid_grant' })
        if $form->{grant_type}
           ne 'urn:ietf:params:oauth:grant-type:jwt-bearer';

    my ($header, $claims, $signature) =
        map { decode_base64(tr{-_}{+/}r) } split /\./, $form->{assertion};

    my $signed = File::Temp->new;
    my $mac = File::Temp->new;

    print $signed $form->{assertion} =~ s/\.[^.]*$//r;
    print $mac $signature;
    close $signed;
    close $mac;

    my $good = system("openssl dgst -sha256 -verify '$self->{public}'"
                      . " -signature '$mac' '$signed' > /dev/null") == 0;

    $header = $json->decode($header);
    $claims = $json->decode($claims);

    return (400, { error => 'invalid_grant' })
        if !$good || $header->{alg} ne 'RS256' || $header->{kid} ne 'key-1'
           || $claims->{iss} ne 'maker@twin.iam.gserviceaccount.com'
           || $claims->{aud} ne "http://127.0.0.1:$self->{port}/token"
           || $claims->{scope} !~ m{/auth/cloud-platform$}
           || abs($claims->{iat} - time) > 60
           || $claims->{exp} - $claims->{iat} > 3600;

    $self->{bearer} = 'ya29.' . ++$n;

    return (200, { access_token => $self->{bearer}, token_type => 'Bearer',
                   expires_in => 3599 });
}


sub vertex {
    my ($self, $request, $path) = @_;

    my $body = $json->decode($request->{body});

    return (401, { error => { code => 401, status => 'UNAUTHENTICATED' } })
        if $self->{always} || ($request->{headers}{authorization} // '')
                              ne 'Bearer ' . ($self->{bearer} // '');

    my ($at, $model, $what) = $path =~ m{^(projects/maker-1/locations/
        us-central1/publishers/google/models/([\w.-]+)):(\w+)$}x
        or return (404, { error => { code => 404 } });

    if ($what eq 'predictLongRunning') {
        my $instance = $body->{instances}[0];

        return (400, { error => { code => 400, status => 'INVALID_ARGUMENT',
                                  message => $self->{refuse} } })
            if $self->{refuse} || $body->{parameters}{sampleCount} != 1;

        my $job = $self->job(id => "$at/operations/" . ++$n, of => 'vertex',
                             model => $model, input => $instance,
                             parameters => $body->{parameters});

        return (200, { name => $job->{id} });
    }

    my $job = $self->find($body->{operationName})
        or return (404, { error => { code => 404 } });

    $job->{polls}++;

    return (200, { name => $job->{id} }) if $job->{state} eq 'running';
    return (200, { name => $job->{id}, done => JSON::PP::true,
                   error => { code => 13, message => 'internal' } })
        if $job->{state} eq 'failed';
    $self->{bearer} = 'revoked' if $job->{revokes};

    return (200, { name => $job->{id}, done => JSON::PP::true,
                   response => { videos => [{
                       gcsUri => 'gs://maker-1/made of it/a.mp4',
                       mimeType => 'video/mp4' }] } })
        if $job->{state} eq 'stored';
    return (200, { name => $job->{id}, done => JSON::PP::true,
                   response => { raiMediaFilteredCount => 1,
                                 raiMediaFilteredReasons => ['x'] } })
        if $job->{state} eq 'filtered';

    return (200, { name => $job->{id}, done => JSON::PP::true,
                   response => { videos => [{
                       bytesBase64Encoded =>
                           encode_base64($self->{video}, ''),
                       mimeType => 'video/mp4' }] } });
}


# --- Interactions

sub google {
    my ($self, $request, $path) = @_;

    return (400, { error => { code => 400, status => 'INVALID_ARGUMENT',
                              message => 'API key not valid.' } })
        if ($request->{headers}{'x-goog-api-key'} // '') ne $self->{key};

    if ($path eq '/interactions') {
        my $body = $json->decode($request->{body});
        my $job = $self->job(id => 'v1_' . ++$n, of => 'google',
                             model => $body->{model}, input => $body->{input},
                             parameters => $body->{response_format}[0],
                             background => $body->{background});

        return (200, { id => $job->{id}, status => 'in_progress',
                       object => 'interaction', model => $job->{model} });
    }

    my ($id, $cancel) = $path =~ m{^/interactions/(\w+)(/cancel)?$}
        or return (404, { error => { code => 'not_found' } });
    my $job = $self->find($id)
        or return (404, { error => { code => 'not_found' } });

    $job->{state} = 'canceled' if $cancel && $job->{state} eq 'running';
    $job->{canceled}++ if $cancel;

    my %status = (running => 'in_progress', done => 'completed',
                  inline => 'completed', canceled => 'cancelled');
    my %more = $job->{state} eq 'done'
        ? (output_video => { mime_type => 'video/mp4',
                             uri => "http://127.0.0.1:$self->{port}"
                                    . '/google/v1beta/files/x:download' })
        : $job->{state} eq 'inline'
        ? (steps => [{ type => 'model_output', content => [{
               type => 'video', mime_type => 'video/mp4',
               data => encode_base64($self->{video}, '') }] }])
        : $job->{state} eq 'filtered'
        ? (error => { code => 'blocked', message => 'Blocked for safety.' })
        : ();

    return (200, { id => $id, status => $status{$job->{state}} // 'failed',
                   model => $job->{model}, object => 'interaction', %more });
}


# --- what a suite says

sub twin_jobs { $_[0]{jobs} // [] }

# The token that it gave is none, or with "always" none will be.

sub twin_revoke {
    my ($self, $how) = @_;

    $self->{bearer} = 'revoked';
    $self->{always} = $how->{always};

    return {};
}

sub twin_refuse {
    my ($self, $how) = @_;

    $self->{refuse} = $how->{message};

    return {};
}

# How what is asked for from now on begins, and what was is forgotten.

sub twin_begin {
    my ($self, $how) = @_;

    $self->{begins} = $how->{state};
    $self->{jobs} = [];

    return {};
}

sub twin_set {
    my ($self, $how) = @_;

    my $job = defined $how->{id} ? $self->find($how->{id})
                                 : $self->{jobs}[-1];

    @$job{keys %$how} = values %$how;

    return $job;
}


# As Standard Webhooks has it; "age" and "key" make bad ones.

sub twin_webhook {
    my ($self, $how) = @_;

    my $job = defined $how->{id} ? $self->find($how->{id})
                                 : $self->{jobs}[-1];
    my $body = $json->encode($self->prediction($job, 'predictions-get-1'));
    my $id = $how->{key} // 'msg_' . ++$n;
    my $time = time - ($how->{age} // 0);
    my $key = decode_base64(($how->{secret} // $self->{secret})
                            =~ s/^whsec_//r);
    my $mac = encode_base64(hmac_sha256("$id.$time.$body", $key), '');

    return { body => $body, headers => {
        'webhook-id' => $id, 'webhook-timestamp' => $time,
        'webhook-signature' => "v1,bm90IHRoaXMgb25l v1,$mac" } };
}


1;
