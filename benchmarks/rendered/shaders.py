"""OpenGL programs: things with pictures, people, the sky, shadows, and labels for the truth."""

_LIGHT = """
uniform vec3 sun; uniform vec3 sun_color; uniform vec3 sky_color; uniform vec3 ground_color;
uniform mat4 still_from_world; uniform mat4 people_from_world;
uniform sampler2DShadow still_shadow; uniform sampler2DShadow people_shadow;
uniform vec4 spots[8];
float lookup(sampler2DShadow map, mat4 from_world, vec3 p, float texel, float bias) {
    vec3 s = (from_world * vec4(p, 1.0)).xyz * 0.5 + 0.5;
    if (any(lessThan(s, vec3(0.0))) || any(greaterThan(s, vec3(1.0)))) return 1.0;
    float sum = 0.0;
    for (int i = 0; i < 2; i++) for (int j = 0; j < 2; j++)
        sum += texture(map, vec3(s.xy + (vec2(i, j) - 0.5) * 1.5 * texel, s.z - bias));
    return sum / 4.0;
}
float sunlit(vec3 p) {
    return lookup(still_shadow, still_from_world, p, 1.0 / 2048.0, 0.0015)
         * lookup(people_shadow, people_from_world, p, 1.2 / 1024.0, 0.002);
}
float open_sky(vec3 p) {  // dark spots where something touches
    float open = 1.0;
    for (int i = 0; i < 8; i++) {
        vec3 d = p - spots[i].xyz;
        if (spots[i].w > 0.0) open *= 1.0 - 0.5 * exp(-dot(d, d) / (spots[i].w * spots[i].w));
    }
    return open;
}
vec3 lit(vec3 albedo, vec3 p, vec3 n, float wrap, float open) {
    float facing = max((dot(n, sun) + wrap) / (1.0 + wrap), 0.0);
    vec3 ambient = mix(ground_color, sky_color, 0.5 * n.y + 0.5) * open;
    return albedo * (ambient + sun_color * facing * sunlit(p + 0.02 * n));
}
vec3 tone(vec3 c) { c = c * (1.0 + 0.1 * c) / (1.0 + 0.36 * c); return pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2)); }
"""

THING_VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec2 uv; in vec3 tint; uniform mat4 clip_from_world;
out vec3 p; out vec3 n; out vec2 t; out vec3 k;
void main() { p = position; n = normal; t = uv; k = tint; gl_Position = clip_from_world * vec4(position, 1.0); }
"""
THING_FRAGMENT = (
    """#version 330
in vec3 p; in vec3 n; in vec2 t; in vec3 k; uniform sampler2D picture; uniform float leaf; out vec4 color;
"""
    + _LIGHT
    + """
void main() {
    vec4 c = texture(picture, t);
    if (leaf > 0.5 && c.a < 0.5) discard;
    vec3 m = normalize(n);
    if (!gl_FrontFacing && leaf < 0.5) m = -m;
    color = vec4(tone(lit(pow(c.rgb, vec3(2.2)) * k, p, m, leaf > 0.5 ? 0.6 : 0.0, open_sky(p))), 1.0);
}
"""
)

PERSON_VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec3 rest; uniform mat4 clip_from_world;
out vec3 p; out vec3 n; out vec3 q;
void main() { p = position; n = normal; q = rest; gl_Position = clip_from_world * vec4(position, 1.0); }
"""
PERSON_FRAGMENT = (
    """#version 330
in vec3 p; in vec3 n; in vec3 q; out vec4 color; uniform vec3 eye;
uniform vec3 skin; uniform vec3 hair; uniform vec3 shirt; uniform vec3 printed;
uniform vec3 trousers; uniform vec3 shoes;
uniform float neck; uniform float waist; uniform float trouser_end; uniform float shoe_top; uniform float sleeve_end;
uniform float hairline; uniform float pattern; uniform vec3 chest; uniform vec3 marks[4];
"""
    + _LIGHT
    + """
float hash(vec3 v) {
    v = fract(v * vec3(0.1031, 0.1137, 0.1379));
    v += dot(v, v.yzx + 19.19);
    return fract((v.x + v.y) * v.z);
}
float grain(vec3 v) {
    vec3 i = floor(v), f = fract(v); f = f * f * (3.0 - 2.0 * f);
    return mix(mix(mix(hash(i), hash(i + vec3(1,0,0)), f.x),
                   mix(hash(i + vec3(0,1,0)), hash(i + vec3(1,1,0)), f.x), f.y),
               mix(mix(hash(i + vec3(0,0,1)), hash(i + vec3(1,0,1)), f.x),
                   mix(hash(i + vec3(0,1,1)), hash(i + vec3(1,1,1)), f.x), f.y), f.z);
}
vec3 worn(out float cloth) {
    float edge = 0.004 * (grain(q * 30.0) - 0.5);
    cloth = 0.0;
    vec3 c = skin * (1.0 + 0.08 * (grain(q * 40.0) - 0.5));
    if (q.y > neck && abs(q.x) < 0.14) {  // head
        vec3 r = q - 0.5 * (marks[0] + marks[1]);
        float back = -r.z;
        float line = back < 0.035 ? 0.052 : back < 0.075 ? 0.03 : back < 0.10 ? -0.01 : -0.07 - hairline;
        if (r.y > line + edge) {
            cloth = 0.5;
            return hair * (0.6 + 0.8 * grain(vec3(q.x * 170.0, q.y * 25.0, q.z * 170.0)));
        }
        for (int i = 0; i < 2; i++) {
            vec3 e = q - marks[i];
            if (length(e * vec3(1.0, 1.9, 0.6)) < 0.0155) c = vec3(0.92);
            if (length(e * vec3(1.0, 1.0, 0.6)) < 0.0075) c = vec3(0.1, 0.07, 0.06);
            bool brow = abs(e.x) < 0.022 && abs(e.y - 0.019 + 4.0 * e.x * e.x) < 0.0045;
            if (brow && e.z > -0.03) c = mix(skin, hair, 0.75);
        }
        vec3 m = q - marks[3];
        if (length(m * vec3(0.42, 1.2, 0.3)) < 0.0105 && m.z > -0.03) c = mix(skin, vec3(0.62, 0.2, 0.2), 0.6);
        if (abs(m.y) < 0.0014 && abs(m.x) < 0.022 && m.z > -0.03) c *= 0.45;
        vec3 o = q - marks[2];
        if (length((abs(o) - vec3(0.009, 0.011, 0.0)) * vec3(1.0, 1.4, 0.3)) < 0.0042 && o.y < 0.0) c *= 0.5;
        return c;
    }
    if (q.y < shoe_top + edge) {
        cloth = 1.0;
        return q.y < 0.022 ? mix(shoes, vec3(0.35), 0.6) : shoes;
    }
    if (q.y < waist + edge && abs(q.x) < 0.35) {
        if (q.y < trouser_end + edge) return c;
        cloth = 1.0;
        if (q.y > waist - 0.035) return 0.4 * trousers;  // belt
        return trousers * (1.0 + 0.12 * (grain(q * vec3(160.0, 40.0, 160.0)) - 0.5));
    }
    if (abs(q.x) > sleeve_end + edge || (q.y > neck - 0.03 && abs(q.x) < 0.07)) return c;
    cloth = 1.0;
    vec3 d = q - chest;
    float second = 0.0;
    if (pattern == 1.0) second = step(0.5, fract(q.y * 8.0));
    if (pattern == 2.0) second = 0.5 * (step(0.6, fract(q.y * 10.0)) + step(0.6, fract(q.x * 10.0)));
    if (pattern == 3.0 && d.z > -0.05) second = step(length(d.xy), 0.09) * step(0.35, fract(length(d.xy) * 30.0));
    return mix(shirt, printed, second) * (1.0 + 0.1 * (grain(q * 200.0) - 0.5));
}
void main() {
    float cloth;
    vec3 albedo = pow(worn(cloth), vec3(2.2));
    vec3 m = normalize(n);
    if (!gl_FrontFacing) m = -m;
    if (cloth > 0.9) {  // folds
        float a = grain(vec3(q.x * 15.0, q.y * 9.0, q.z * 15.0) + 3.0) - 0.5;
        float b = grain(q * vec3(33.0, 18.0, 33.0)) - 0.5;
        m = normalize(m + 0.4 * vec3(a, 0.6 * b, -a) + 0.22 * vec3(-b, 0.0, b));
    }
    vec3 v = normalize(eye - p);
    float shine = pow(max(dot(m, normalize(v + sun)), 0.0), 22.0) * (cloth < 0.9 ? 0.08 : 0.025);
    vec3 c = lit(albedo, p, m, cloth < 0.4 ? 0.35 : 0.15, mix(1.0, open_sky(p), 0.4));
    color = vec4(tone(c + sun_color * shine * sunlit(p + 0.02 * m)), 1.0);
}
"""
)

SKY_VERTEX = """#version 330
in vec2 corner; out vec2 c;
void main() { c = corner; gl_Position = vec4(corner, 0.999999, 1.0); }
"""
SKY_FRAGMENT = """#version 330
in vec2 c; uniform mat3 world_from_cam; uniform vec3 lens; uniform sampler2D picture; out vec4 color;
void main() {  // lens: half width and half height over the focal length
    vec3 d = normalize(world_from_cam * vec3(c.x * lens.x, -c.y * lens.y, 1.0));
    vec2 t = vec2(atan(d.x, d.z) / 6.2831853 + 0.5, acos(clamp(d.y, -1.0, 1.0)) / 3.14159265);
    color = vec4(texture(picture, t).rgb, 1.0);
}
"""

LABEL_VERTEX = """#version 330
in vec3 position; in vec2 uv; uniform mat4 clip_from_world; out vec2 t;
void main() { t = uv; gl_Position = clip_from_world * vec4(position, 1.0); }
"""
LABEL_FRAGMENT = """#version 330
in vec2 t; uniform sampler2D picture; uniform float leaf; uniform float label; out vec4 color;
void main() { if (leaf > 0.5 && texture(picture, t).a < 0.5) discard; color = vec4(label / 255.0); }
"""
BODY_LABEL_VERTEX = """#version 330
in vec3 position; uniform mat4 clip_from_world;
void main() { gl_Position = clip_from_world * vec4(position, 1.0); }
"""
BODY_LABEL_FRAGMENT = """#version 330
uniform float label; out vec4 color;
void main() { color = vec4(label / 255.0); }
"""
