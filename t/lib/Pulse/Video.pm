package Pulse::Video;

# A studio that makes videos: its sidecar, the twin of its providers, and
# nginx before it.
#
#     use Pulse::Video;                       # or the suite is skipped
#     my $video = Pulse::Video->start(options => [...], database => ...,
#                                     bucket => its address);
#     $video->twin; $video->sidecar; $video->port;
#     my $id = $video->begin($key, model => ..., prompt => ...);
#     $video->ended($id);                     # its status, waited for

use v5.30;
use warnings;

use Pulse::Client qw(http);
use Pulse::Env ();
use Pulse::Files qw(files_nginx);
use Pulse::Process qw(wait_until);
use Pulse::Sidecar;
use Pulse::Twin::Video;
use Test::More ();

my $secret = 'whsec_dGhlIHNlY3JldCBvZiB0aGUgdHdpbiwgMzIgYnl0ZXM=';
my $recordings = "$Pulse::Env::shared/data/recordings/replicate";


sub import {
    my $missing = missing();

    Test::More::plan(skip_all => $missing) if defined $missing;
}


sub missing {
    return "no recordings at $recordings" if !-d $recordings;

    for my $program (qw(ffmpeg ffprobe openssl)) {
        return "no $program"
            if system("command -v $program > /dev/null 2>&1") != 0;
    }

    return undef;
}


sub start {
    my ($class, %o) = @_;

    my $dir = Pulse::Env::suite_dir();
    my $self = bless { dir => $dir, o => \%o }, $class;

    system("ffmpeg -v error -f lavfi -i testsrc=size=96x54:rate=10:duration=2"
           . " -c:v libx264 -pix_fmt yuv420p -y '$dir/a.mp4'") == 0
        or die "ffmpeg made no clip\n";

    $self->{clip} = slurp("$dir/a.mp4");

    system("openssl genrsa -out '$dir/account.pem' 2048 2> /dev/null;"
           . " openssl rsa -in '$dir/account.pem' -pubout"
           . " -out '$dir/public.pem' 2> /dev/null") == 0
        or die "openssl made no key\n";

    $self->{twin} = Pulse::Twin::Video->start(
        key => 'the-key-of-the-twin', secret => $secret,
        recordings => $recordings, video => $self->{clip},
        large => sub { slurp("$dir/large.mp4") },
        public => "$dir/public.pem");

    $self->environment;
    $self->{sidecar} = $self->sidecar_start;
    $self->{nginx} = $self->nginx_start if !$o{alone};

    return $self;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}


sub environment {
    my ($self) = @_;

    my $url = $self->{twin}->url;

    open my $out, '>', "$self->{dir}/account.json" or die "account: $!\n";

    print $out JSON::PP->new->encode({
        type => 'service_account', project_id => 'maker-1',
        private_key_id => 'key-1',
        private_key => slurp("$self->{dir}/account.pem"),
        client_email => 'maker@twin.iam.gserviceaccount.com',
        token_uri => "$url/token" });
    close $out;

    %ENV = (%ENV, REPLICATE_API_KEY => 'the-key-of-the-twin',
            REPLICATE_BASE_URL => "$url/replicate/v1",
            REPLICATE_WEBHOOK_SECRET => $secret,
            GOOGLE_API_KEY => 'the-key-of-the-twin',
            GOOGLE_BASE_URL => "$url/google/v1beta",
            VERTEX_SERVICE_ACCOUNT => "$self->{dir}/account.json",
            VERTEX_BASE_URL => "$url/vertex/v1");
}


sub sidecar_start {
    my ($self) = @_;

    return Pulse::Sidecar->start(
        options => ['--models', "$Pulse::Env::root/conf/models.json",
                    '--moderation', "$Pulse::Env::root/conf/moderation.txt",
                    '--video-poll', '1',
                    $self->{o}{bucket} ? ('--s3', $self->{o}{bucket}) : (),
                    @{ $self->{o}{options} // [] }],
        $self->{o}{bucket} ? (files => undef) : (),
        $self->{o}{database} ? (database => $self->{o}{database}) : ());
}


sub nginx_start {
    my ($self) = @_;

    return files_nginx($self->{sidecar},
                       http => <<"HTTP", config => <<'CONFIG');
    pulse_moderation_rules $Pulse::Env::root/conf/moderation.txt;
    pulse_moderation local;
HTTP
    location /v1/video/webhook/ {
        client_max_body_size 1m;
        client_body_buffer_size 1m;
        pulse_auth off;
        pulse_docs public;
    }
CONFIG
}


sub twin { $_[0]{twin} }
sub clip { $_[0]{clip} }
sub sidecar { $_[0]{sidecar} }
sub port { $_[0]{nginx}->port }
sub nginx { $_[0]{nginx} }


sub api {
    my ($self, $key, $method, $path, %more) = @_;

    return http($method, $path, port => $self->port, bearer => $key,
                limit => 60, %more);
}


sub ask {
    my ($self, $key, %o) = @_;

    my $headers = delete $o{headers};

    return $self->api($key, POST => '/v1/video/generate',
                      json => { model => 'google/veo-3.1',
                                prompt => 'a kite over the sea', %o },
                      $headers ? (headers => $headers) : ());
}


sub begin {
    my ($self, $key, %o) = @_;

    my $reply = $self->ask($key, %o);

    return $reply->{json}{data}{job_id}
        // die "no video was begun: $reply->{status} $reply->{body}\n";
}


# Until so many were asked for at the twin.

sub asked {
    my ($self, $n) = @_;

    return wait_until {
        my $jobs = $self->{twin}->tell('jobs');

        return @$jobs >= $n ? $jobs : undef;
    } 60;
}


sub ended {
    my ($self, $id) = @_;

    return wait_until {
        return scalar Pulse::Env::sql(
            "SELECT status FROM tasks WHERE id = '$id'"
            . " AND status NOT IN ('queued', 'processing')");
    } 60;
}


sub account {
    my ($self, $user) = @_;

    return scalar Pulse::Env::sql("SELECT used || '+' || leased FROM accounts"
                                  . " WHERE user_id = '$user' AND kind = 2");
}


1;
